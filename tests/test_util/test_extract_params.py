import functools
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import load_model
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer
from deeplab_lfov.weights.formats import read_tensors
from helpers import DATA


@pytest.fixture
def extract(said, tmp_path):
    return functools.partial(said, "util.extract_params", "--output_dir", tmp_path / "out")


def test_largefov_is_kept_whole(extract, tmp_path, reference_model):
    out = extract(DATA / "caffe_narrow.caffemodel")
    assert "fc6.weight        64 x 32 x 3 x 3  ->  fc6/w        3 x 3 x 32 x 64" in out
    assert len(out.splitlines()) == 34
    for name in ("model.ckpt-init", "net_weights.npz"):
        tensors = read_tensors(tmp_path / "out" / name)
        assert len(tensors) == 32
        for name, parameter in reference_model.parameters.items():
            np.testing.assert_array_equal(tensors[name], parameter)
    skeleton = json.loads((tmp_path / "out/net_skeleton.json").read_text())
    assert skeleton[0] == ["conv1_1/w", [3, 3, 3, 4]] and len(skeleton) == 32


def test_names_from_a_file_cannot_steer_the_terminal(extract, tmp_path):
    content = (DATA / "caffe_narrow.caffemodel").read_bytes()
    assert content.count(b"fc8_voc12") > 0
    (tmp_path / "net").write_bytes(content.replace(b"fc8_voc12", b"fc8\x1b[2J\r\n"))
    out = extract(tmp_path / "net")
    assert "fc8?[2J? .weight" in out and len(out.splitlines()) == 34
    assert all(line.isprintable() for line in out.split("\n"))


def test_a_fresh_head_for_other_classes(extract, tmp_path, reference_model):
    flags = ["--head", "init", "--num_classes", 5]
    assert "afresh: small, random" in extract(DATA / "caffe_narrow_v1.caffemodel", *flags)
    model, _ = load_model(tmp_path / "out/model.ckpt-init")
    assert model.num_classes == 5
    np.testing.assert_array_equal(model.parameters["fc7/w"], reference_model.parameters["fc7/w"])


def test_vgg16_is_cut_down(extract, tmp_path):
    out = extract(DATA / "vgg16_narrow_v1.caffemodel")
    assert "256 x 1568       ->  fc6/w        3 x 3 x 32 x 64" in out
    source = by_layer(read_caffemodel(DATA / "vgg16_narrow_v1.caffemodel"))
    model, _ = load_model(tmp_path / "out/model.ckpt-init")
    assert model.width == 1 / 16 and model.num_classes == 21
    fc6 = source["fc6"][0].reshape(256, 32, 7, 7)
    assert model.parameters["fc6/w"][2, 1, 7, 3] == fc6[12, 7, 6, 3]


def test_a_trained_checkpoint_is_stripped_for_the_first_version(extract, tmp_path, checkpoint):
    extract(checkpoint)
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "out/model.ckpt-init"))}
    first = {name for name, _ in tf.train.list_variables(str(DATA / "tf012_narrow_v1.ckpt"))}
    assert names == first


@pytest.mark.filterwarnings("ignore")
def test_keras_without_top_starts_fc6_and_fc7_afresh(extract, tmp_path):
    from helpers import keras_vgg16_network

    keras_vgg16_network(top=False).save(tmp_path / "net.h5")
    assert "say which images" in extract(tmp_path / "net.h5", status=2)
    out = extract(tmp_path / "net.h5", "--input", "caffe")
    assert out.count("afresh: small, random") == 3 and "conv12.weight" in out


PYCAFFE = """
import pathlib, types
import numpy as np
TEST = 1
class Net:
    def __init__(self, prototxt, weights, phase):
        assert phase == TEST and 'name: "fc8_voc12"' in pathlib.Path(prototxt).read_text()
        blobs, self.params = np.load({npz!r}), {{}}
        for key in blobs.files:
            self.params.setdefault(key[:-2], []).append(types.SimpleNamespace(data=blobs[key]))
"""


def test_reading_through_pycaffe(extract, tmp_path, monkeypatch, reference_model):
    layers = by_layer(read_caffemodel(DATA / "caffe_narrow.caffemodel"))
    blobs = {f"{name} {i}": b for name, pair in layers.items() for i, b in enumerate(pair)}
    np.savez(tmp_path / "blobs.npz", **blobs)
    (tmp_path / "caffe.py").write_text(PYCAFFE.format(npz=str(tmp_path / "blobs.npz")))
    monkeypatch.setattr(sys, "path", [*sys.path])
    extract(DATA / "caffe_narrow.caffemodel", "--pycaffe_path", tmp_path)
    tensors = read_tensors(tmp_path / "out/model.ckpt-init")
    np.testing.assert_array_equal(tensors["fc6/w"], reference_model.parameters["fc6/w"])
    del sys.modules["caffe"]


@pytest.mark.parametrize(
    ("source", "flags", "words"),
    [
        ("nowhere", [], "there is no checkpoint nowhere"),
        ("vgg16_narrow_v1.caffemodel", ["--head", "keep"], "no last layer"),
        ("py2_net_skeleton.ckpt", [], "net_weights"),
        ("caffe_narrow.caffemodel", ["--pycaffe_path", "nowhere"], "no pycaffe in nowhere"),
        ("caffe_narrow.caffemodel", ["--num_classes", 5], "21 classes, not 5; use --head init"),
        ("caffe_narrow_blobs.npz", [], "no VGG-16: it has 0"),
    ],
)
def test_mistakes_are_named(extract, source, flags, words):
    path = DATA / source if (DATA / source).is_file() else source
    assert words in extract(path, *flags, status=2)


def test_nothing_is_overwritten(extract, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/net_weights.npz").write_text("precious")
    assert "net_weights.npz exists" in extract(DATA / "caffe_narrow.caffemodel", status=2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["net_weights.npz"]


def test_foreign_tensors_are_reported(extract, tmp_path, reference_model):
    tensors = {name: parameter.numpy() for name, parameter in reference_model.parameters.items()}
    np.savez(tmp_path / "more.npz", fc9=np.zeros(3, np.float32), **tensors)
    assert "fc9 is extra" in extract(tmp_path / "more.npz", status=2)
