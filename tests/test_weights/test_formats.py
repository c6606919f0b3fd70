import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel, UserError, load_model, load_weights
from deeplab_lfov.weights.formats import format_of, read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in, locate
from helpers import DATA

FILES = (
    "caffe_narrow.caffemodel",
    "caffe_narrow_v1.caffemodel",
    "py2_net_weights.ckpt",
    "tf012_narrow_v1.ckpt",
    "tf012_narrow_v2.ckpt",
)


@pytest.mark.parametrize("name", FILES)
def test_every_reference_gives_caffes_scores(name, caffe_blobs):
    model, _ = load_model(DATA / name)
    expected = caffe_blobs["fc8_voc12"]
    scores = model.scores(caffe_blobs["data"])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_formats_are_told_by_content_not_by_name(tmp_path, reference_model):
    np.savez(
        tmp_path / "weights.npz", **{n: p.numpy() for n, p in reference_model.parameters.items()}
    )
    formats = {tmp_path / "weights.npz": "npz", DATA / FILES[0]: "Caffe", DATA / FILES[1]: "Caffe"}
    formats |= {DATA / FILES[2]: "pickle", DATA / FILES[3]: "checkpoint"}
    for number, (path, kind) in enumerate(formats.items()):
        disguised = shutil.copy(path, tmp_path / f"file{number}.jpg")
        assert format_of(disguised) == kind
        load_weights(DeepLabLFOVModel(width=1 / 16), disguised)


def test_a_part_of_a_checkpoint_means_the_whole(checkpoint):
    for part in ("", ".index", ".data-00000-of-00001"):
        assert locate(f"{checkpoint}{part}") == checkpoint


def test_a_folder_means_its_newest_checkpoint(tmp_path, checkpoint):
    for name in ("model.ckpt-init", "model.ckpt-9", "model.ckpt-100"):
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copy(f"{checkpoint}{suffix}", tmp_path / f"{name}{suffix}")
        (tmp_path / "checkpoint").touch()
        assert locate(tmp_path) == locate(tmp_path / "checkpoint") == tmp_path / name
    assert len(checkpoints_in(tmp_path)) == 3
    with pytest.raises(UserError, match=r"no checkpoint .*ckpt-7; there are .*ckpt-100, .*ckpt-9"):
        locate(tmp_path / "model.ckpt-7")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no checkpoint in the folder"):
        locate(tmp_path / "empty")


@pytest.mark.parametrize(
    "part", ["__0_0.distcp", "_METADATA", "model.safetensors.index.json", "model-1-of-2.bin"]
)
def test_folders_of_parts_are_named(tmp_path, part):
    (tmp_path / part).touch()
    with pytest.raises(UserError, match=f"but {part}: load it where it was made, and save one"):
        locate(tmp_path)


def test_files_that_need_conversion_are_sent_to_the_converter(tmp_path):
    with pytest.raises(UserError, match=r"plain VGG-16; util/extract_params.py"):
        read_tensors(DATA / "vgg16_narrow_v1.caffemodel")
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n and more")
    with pytest.raises(UserError, match=r"a file of Keras.*util/extract_params.py"):
        read_tensors(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("kind", "shapes", "words"),
    [
        (tf.float32, {"a": [10**6, 10**6]}, "a is said to be .* more than there is"),
        (tf.float32, {f"a{n}": [80_000] for n in range(10)}, "a8 is said to be .* more than"),
        (tf.variant, {"a": [1]}, "a is of type variant"),
        (tf.as_dtype(111), {"a": [1]}, "a is of type qint8_ref"),
    ],
)
def test_a_checkpoint_whose_tensors_lie_is_an_error(monkeypatch, kind, shapes, words):
    reader = SimpleNamespace(
        get_variable_to_dtype_map=lambda: dict.fromkeys(shapes, kind),
        get_variable_to_shape_map=lambda: shapes,
        get_tensor=lambda name: pytest.fail("it was allocated"),
    )
    monkeypatch.setattr(tf.train, "load_checkpoint", lambda path: reader)
    with pytest.raises(UserError, match=words):
        read_tensors(DATA / "tf012_narrow_v1.ckpt")


def test_paths_that_tensorflow_would_glob_are_refused(tmp_path):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(DATA / f"tf012_narrow_v2.ckpt{suffix}", tmp_path / f"run[1]{suffix}")
    with pytest.raises(UserError, match="rename"):
        read_tensors(tmp_path / "run[1]")
