import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel, Predictor, UserError, load_model, load_weights
from deeplab_lfov.classes import Classes
from deeplab_lfov.training.snapshots import Snapshots
from deeplab_lfov.weights import checkpoints
from deeplab_lfov.weights.checkpoints import export_weights
from deeplab_lfov.weights.formats import read_tensors, read_weights, stored_weights
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in, locate
from helpers import DATA, NARROW, environment_with_package

FACTS = {"class_names", "class_colors", "void_colors", "settings"}
NAMES = tuple(f"thing {number}" for number in range(21))


@pytest.fixture
def npz(tmp_path, reference_model):
    """The reference parameters as .npz, and a way to write them changed."""

    def write(drop=(), **changes):
        tensors = {name: p.numpy() for name, p in reference_model.parameters.items()}
        tensors = {name: t for name, t in tensors.items() if name not in drop} | changes
        np.savez(tmp_path / "weights.npz", **tensors)
        return tmp_path / "weights.npz"

    return write


def assert_same(model, expected):
    for name, parameter in model.parameters.items():
        np.testing.assert_array_equal(parameter, expected.parameters[name], name)


def test_saved_is_restored_after_an_overwrite(tmp_path, reference_model):
    model = DeepLabLFOVModel(width=NARROW, seed=0)
    load_weights(model, DATA / "tf012_narrow_v1.ckpt")
    path = Snapshots(tmp_path, model.parameters, Classes(NAMES)).save(12)
    assert path == tmp_path / "model.ckpt-12"
    for parameter in model.parameters.values():
        parameter.assign(tf.zeros_like(parameter))
    load_weights(model, path)
    assert_same(model, reference_model)
    assert load_model(path)[1] == NAMES


def test_names_in_the_file_are_the_first_versions(checkpoint):
    names = {name for name, _ in tf.train.list_variables(str(checkpoint))}
    first = {name for name, _ in tf.train.list_variables(str(DATA / "tf012_narrow_v1.ckpt"))}
    assert names == first | FACTS


def test_an_optimizers_slots_are_not_read_for_weights(tmp_path, reference_model):
    slots = {f"{name}/Adam": tf.Variable(p) for name, p in reference_model.parameters.items()}
    variables = reference_model.parameters | slots | {"global_step": tf.Variable(3)}
    tf.compat.v1.train.Saver(variables).save(None, str(tmp_path / "model.ckpt-3"))
    everything = read_tensors(tmp_path)
    assert everything.keys() == variables.keys()
    assert read_weights(tmp_path).keys() == everything.keys() - slots.keys()
    assert_same(load_model(tmp_path)[0], reference_model)  # the step is no misfit


@pytest.fixture
def damaged(tmp_path, reference_model):
    """A checkpoint in whose last tensor, by name, one bit is not as it was written."""
    export_weights(reference_model, tmp_path / "model.ckpt-3")
    data = tmp_path / "model.ckpt-3.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    return tmp_path / "model.ckpt-3"


def test_numbers_are_read_when_they_are_asked_for(damaged):
    tensors = stored_weights(damaged)
    assert {t.shape for t in tensors.values()} >= {(1, 1, 64, 64), (21,)}
    np.testing.assert_array_equal(tensors["conv1_1/b"], tf.identity(tensors["conv1_1/b"]))
    with pytest.raises(UserError, match=r"model.ckpt-3 is damaged"):
        np.asarray(tensors[max(tensors)])
    with pytest.raises(UserError, match=r"model.ckpt-3 is damaged or no checkpoint: [^{[]*$"):
        tf.identity(tensors[max(tensors)])


def test_tensors_of_two_checkpoints_are_not_mixed(tmp_path, reference_model):
    path = tmp_path / "model.ckpt-best"
    export_weights(reference_model, path)
    tensors = stored_weights(path)
    np.asarray(tensors["conv1_1/w"])
    export_weights(reference_model, tmp_path / "model.ckpt-better")
    for better in tmp_path.glob("model.ckpt-better.*"):
        better.replace(f"{path}{better.suffix}")
    with pytest.raises(UserError, match="model.ckpt-best has changed while it was read"):
        tf.identity(tensors["conv1_2/w"])


@pytest.mark.parametrize("dtype", [None, tf.float16, tf.float64])
def test_a_predictor_of_a_checkpoint_gives_the_models_scores(tmp_path, reference_model, dtype):
    path, model = DATA / "tf012_narrow_v1.ckpt", reference_model
    if dtype:
        path = tmp_path / "model.ckpt-1"
        cast = {name: tf.Variable(tf.cast(p, dtype)) for name, p in model.parameters.items()}
        tf.compat.v1.train.Saver(cast).save(None, str(path), write_state=False)
        values = {name: variable.numpy().astype(np.float32) for name, variable in cast.items()}
        model = DeepLabLFOVModel(width=NARROW, initial=values)
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    expected = Predictor(model).scores(image)
    with tf.device("CPU:0"):  # which threads of its own do not know of by themselves
        scores = Predictor(path).scores(image)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_a_damaged_tensor_is_told_and_nothing_is_loaded(damaged):
    model = DeepLabLFOVModel(width=NARROW, seed=0)
    before = {name: parameter.numpy() for name, parameter in model.parameters.items()}
    for load in (Predictor, load_model, lambda path: load_weights(model, path)):
        with pytest.raises(UserError, match=r"model.ckpt-3 is damaged"):
            load(damaged)
    for name, parameter in model.parameters.items():
        np.testing.assert_array_equal(parameter, before[name], name)


def test_misfits_are_named_and_nothing_is_loaded(npz):
    path = npz(drop=["conv1_2/b"], **{"fc9/w": np.zeros(3), "fc7/w": np.zeros((1, 1, 64, 65))})
    model = DeepLabLFOVModel(width=NARROW, seed=0)
    before = model.parameters["conv1_1/w"].numpy()
    with pytest.raises(UserError) as raised:
        load_weights(model, path)
    told = "conv1_2/b is missing, fc7/w is 1x1x64x65 and not 1x1x64x64, fc9/w is extra"
    assert str(raised.value).endswith(told)
    np.testing.assert_array_equal(model.parameters["conv1_1/w"], before)


def test_of_many_misfits_the_first_are_named_and_the_rest_counted(npz):
    path = npz(drop=["conv1_2/b"], **{f"name {n}/w": np.zeros(3) for n in range(500)})
    with pytest.raises(UserError, match=r"conv1_2/b is missing, name 0/w .* and 498 more"):
        load_weights(DeepLabLFOVModel(width=NARROW, seed=0), path)


def test_another_number_of_classes_needs_skip_head(npz, reference_model):
    model = DeepLabLFOVModel(num_classes=5, width=NARROW, seed=0)
    head = model.parameters["fc8_voc12/w"].numpy()
    with pytest.raises(UserError, match=r"1x1x64x21 and not 1x1x64x5.*--not_restore_last"):
        load_weights(model, npz())
    load_weights(model, npz(), skip_head=True)
    np.testing.assert_array_equal(model.parameters["fc8_voc12/w"], head)
    np.testing.assert_array_equal(model.parameters["fc7/w"], reference_model.parameters["fc7/w"])


def test_weights_without_a_head_seed_a_network(npz):
    path = npz(drop=["fc8_voc12/w", "fc8_voc12/b"])
    assert checkpoints.fit_of(read_tensors(path), path).width == NARROW
    load_weights(DeepLabLFOVModel(width=NARROW), path, skip_head=True)
    with pytest.raises(UserError, match="fc8_voc12/w is missing.*--not_restore_last"):
        load_model(path)


def test_missing_foreign_and_empty_files(tmp_path, npz):
    with pytest.raises(UserError, match="no checkpoint"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no checkpoint")
    (tmp_path / "empty").touch()
    for name in ("text", "empty"):
        with pytest.raises(UserError, match=name):
            load_model(tmp_path / name)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="no DeepLab-LargeFOV"):
        load_model(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", a=np.array([{}]))
    with pytest.raises(UserError, match="objects.npz is damaged"):
        load_model(tmp_path / "objects.npz")


@pytest.mark.parametrize("suffix", [".data-00000-of-00001", ".index"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_checkpoints_are_errors(tmp_path, checkpoint, suffix, share):
    for part in checkpoint.parent.glob(f"{checkpoint.name}.*"):
        content = part.read_bytes()
        length = int(len(content) * share) if suffix in part.name else None
        (tmp_path / part.name).write_bytes(content[:length])
    with pytest.raises(UserError, match="damaged"):
        load_model(tmp_path / checkpoint.name)


def test_truncated_files_are_errors(tmp_path, npz):
    for whole in (npz(), DATA / "tf012_narrow_v1.ckpt"):
        cut = tmp_path / f"cut-{whole.name}"
        cut.write_bytes(whole.read_bytes()[:200_000])
        with pytest.raises(UserError, match=cut.name):
            load_model(cut)


SAVE_FOREVER = """
import itertools, sys
from pathlib import Path
from deeplab_lfov.startup import start_tensorflow
start_tensorflow()
import tensorflow as tf
from deeplab_lfov.classes import Classes
from deeplab_lfov.training.snapshots import Snapshots
variables = {f"v{n}": tf.Variable(tf.zeros([50_000])) for n in range(20)}
snapshots = Snapshots(Path(sys.argv[1]), variables, Classes(("x",)))
for step in itertools.count(1):
    for variable in variables.values():
        variable.assign(tf.fill([50_000], float(step)))
    snapshots.save(step)
    print(step, flush=True)
"""


def test_a_kill_leaves_whole_checkpoints_only(tmp_path):
    environment = environment_with_package()
    command = [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for _ in range(9):  # more than are kept
            process.stdout.readline()
        process.kill()
    assert checkpoints_in(tmp_path)
    for path in checkpoints_in(tmp_path):
        step = int(path.name.rpartition("-")[2])
        for name, tensor in read_tensors(path).items():
            assert name in FACTS or (tensor == step).all()


def test_sizes_that_no_network_has_are_refused_before_it_is_built(tmp_path):
    for name, sizes in (("wide", (1600, 21)), ("classes", (64, 300))):
        tensors = {"conv1_1/b": np.zeros(sizes[0], "f4"), "fc8_voc12/b": np.zeros(sizes[1], "f4")}
        np.savez(tmp_path / f"{name}.npz", **tensors)
        with pytest.raises(UserError, match="are the most"):
            load_model(tmp_path / f"{name}.npz")


def test_an_npz_may_name_classes_in_text(npz, reference_model):
    model, names = load_model(npz(class_names=np.array(NAMES)))
    assert_same(model, reference_model)
    assert names == NAMES


def test_weights_of_another_width_are_one_line(reference_model):
    tensors = {name: p.numpy() for name, p in reference_model.parameters.items()}
    with pytest.raises(UserError, match="x has weights of width 0.0625 and the network is of 0.25"):
        checkpoints.check_fit(tensors, 21, 0.25, "x")


def test_a_checkpoint_that_lost_its_data(tmp_path, reference_model):
    snapshots = Snapshots(tmp_path, reference_model.parameters, Classes(NAMES))
    older, newer = snapshots.save(1), snapshots.save(2)
    lost = newer.with_name(f"{newer.name}.data-00000-of-00001")
    lost.unlink()
    with pytest.raises(UserError, match=f"there is no {lost}"):
        load_model(newer)
    assert locate(tmp_path) == older


@pytest.mark.parametrize("form", ["checkpoint", "npz"])
def test_numbers_that_are_not_finite_are_an_error(tmp_path, reference_model, form):
    tensors = {name: parameter.numpy() for name, parameter in reference_model.parameters.items()}
    tensors["fc7/b"][3] = np.nan
    path = tmp_path / "x.npz"
    if form == "npz":
        np.savez(path, **tensors)
    else:
        path = tmp_path / "model.ckpt-1"
        variables = {name: tf.Variable(tensor) for name, tensor in tensors.items()}
        tf.compat.v1.train.Saver(variables).save(None, str(path))
    with pytest.raises(UserError, match=r"has numbers in fc7/b that are not finite"):
        load_model(path)
