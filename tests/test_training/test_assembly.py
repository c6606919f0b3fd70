"""What settings are made into: readers, classes and a network."""

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.training import assembly
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start, read_start
from helpers import DATA, NARROW, TRAIN, VAL

WEIGHTS = str(DATA / "tf012_narrow_v2.ckpt")


@pytest.fixture
def settings(shapes):
    """Make settings of flags, for the drawn data and a narrow network."""

    def make(start=Start(), **flags):  # noqa: B008 - it is a value
        data = {"data_dir": str(shapes), "data_list": TRAIN, "width": NARROW}
        return TrainSettings.complete(data | flags, start)

    return make


def test_readers_of_the_two_lists(settings):
    train, val = assembly.make_readers(settings(val_list=VAL, random_mirror=True))
    assert (len(train.samples), len(val.samples)) == (6, 3)
    assert assembly.make_readers(settings()).val is None


def test_class_weights_are_of_the_labels_of_a_file_or_none(settings, shapes, tmp_path):
    def weights(**flags):
        made = settings(**flags)
        readers = assembly.make_readers(made)
        classes = assembly.find_classes(made, Start())
        return assembly.find_class_weights(made, readers, classes, None, show=False)

    (tmp_path / "weights.txt").write_text("2\n" * 21)
    assert weights() is None and weights(class_weights="none") is None
    assert weights(class_weights=str(tmp_path / "weights.txt")) == [2.0] * 21
    assert np.sqrt(weights(class_weights="balanced")) == pytest.approx(
        weights(class_weights="sqrt")
    )
    (tmp_path / "weights.txt").write_text("2\n" * 20)
    with pytest.raises(UserError, match="20 weights, not 21"):
        weights(class_weights=str(tmp_path / "weights.txt"))


def test_the_network_begins_with_the_weights_but_for_a_fresh_head(settings):
    start = read_start("snapshots", restore_from=WEIGHTS)
    kept = settings(start, restore_from=WEIGHTS, freeze="conv1_2")
    fresh = settings(start, restore_from=WEIGHTS, not_restore_last=True, num_classes=3)
    models = []
    for each in (kept, fresh):
        assembly.check_weights(each, start)
        models.append(assembly.make_network(each, start))
    for model in models:
        np.testing.assert_array_equal(model.parameters["fc7/w"], start.tensors["fc7/w"])
    head = models[0].parameters["fc8_voc12/w"]
    np.testing.assert_array_equal(head, start.tensors["fc8_voc12/w"])
    assert "conv1_2/w" not in models[0].trained_parameters and models[1].num_classes == 3
    with pytest.raises(UserError, match="fc8_voc12/w"):
        assembly.check_weights(settings(start, restore_from=WEIGHTS, num_classes=3), start)


def test_classes_are_those_of_the_file_else_of_the_weights(settings, tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"n{label}\n" for label in range(21)))
    named = settings(class_names=str(tmp_path / "names.txt"))
    assert assembly.find_classes(named, Start()).names[20] == "n20"
    assert assembly.find_classes(settings(), Start()).names[15] == "person"
