"""What settings are made into: readers, classes and a network."""

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.classes import voc_classes
from deeplab_lfov.data.dataset_check import DatasetSummary
from deeplab_lfov.training import assembly
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start, read_start
from helpers import DATA, NARROW, TRAIN, VAL

VOC_CLASSES = voc_classes(21)
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
    augments = settings(augment={"flip": 0.5}, rare_crops=0.25)
    train, val = assembly.make_readers(augments, hook=len)
    assert val is None and train.hook is len and train.rare_crops == 0.25
    assert train.strengths == {"flip": 0.5, "turn": 0, "rotate": 0, "color": 0, "blur": 0}


def test_class_weights_are_of_the_labels_of_a_file_or_none(settings, shapes, tmp_path):
    def weights(**flags):
        made = settings(**flags)
        readers, classes = assembly.make_readers(made), assembly.find_classes(made, Start())
        summary = assembly.first_look(made, readers, classes, show=False, resumes=True)
        return assembly.find_class_weights(made, summary)

    (tmp_path / "weights.txt").write_text("2\n" * 21)
    assert weights() is None and weights(class_weights="none") is None
    assert weights(class_weights=str(tmp_path / "weights.txt")) == [2.0] * 21
    assert np.sqrt(weights(class_weights="balanced")) == pytest.approx(
        weights(class_weights="sqrt")
    )
    (tmp_path / "weights.txt").write_text("2\n" * 20)
    with pytest.raises(UserError, match="20 weights, not 21"):
        weights(class_weights=str(tmp_path / "weights.txt"))


def test_rare_classes_are_named_or_have_few_pixels(settings):
    summary = DatasetSummary(VOC_CLASSES.names, [])
    summary.label_counts[[0, 1, 2, 255]] = 500, 400, 40, 9000  # the mean of the classes is 313

    def labels(**flags):
        return assembly.find_rare_labels(settings(**flags), VOC_CLASSES, summary)

    assert labels() == () and labels(rare_crops=0.5) == (2,)
    assert labels(rare_crops=0.5, rare_classes=("boat", "cat")) == (4, 8)
    with pytest.raises(UserError, match="there is no dragon, but background, aeroplane"):
        labels(rare_crops=0.5, rare_classes=("cat", "dragon"))
    summary.label_counts[2] = 400
    with pytest.raises(UserError, match="no class is rare; name some by --rare_classes"):
        labels(rare_crops=0.5)


@pytest.mark.parametrize(
    ("flags", "sizes", "words"),
    [
        ({}, {(375, 500): 3, (60, 80): 1}, []),
        ({}, {(375, 500): 1, (60, 80): 3}, ["fill 28% of crops of 321 x 321 pixels"]),
        ({"scale_range": (4.0, 6.0)}, {(60, 80): 3}, []),
        ({"input_size": (97, 105)}, {(97, 105): 1}, []),
        ({"input_size": (89, 161)}, {(99, 199): 1}, ["89 x 161 pixels are 12 x 21 cells to fc6"]),
        ({"input_size": (33, 33)}, {(16, 33): 1}, ["take --input_size 97", "fill 48% of"]),
    ],
)
def test_crops_of_few_cells_and_of_padding_are_doubtful(settings, flags, sizes, words):
    summary = DatasetSummary((), [])
    summary.sizes.update(sizes)
    found = assembly.doubts_of_crops(settings(**flags), summary)
    assert len(found) == len(words) and all(map(str.__contains__, found, words))


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
