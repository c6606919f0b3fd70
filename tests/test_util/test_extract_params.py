import json

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import load_model
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer
from deeplab_lfov.weights.formats import read_tensors
from helpers import DATA


@pytest.fixture
def extract(script, tmp_path):
    def call(source, *flags):
        return script("util.extract_params", source, "--output_dir", tmp_path / "out", *flags)

    return call


def test_largefov_is_kept_whole(extract, tmp_path, reference_model):
    result = extract(DATA / "caffe_narrow.caffemodel")
    assert result.status == 0, result.err
    assert "fc6[0]        64 x 32 x 3 x 3  ->  fc6/w        3 x 3 x 32 x 64" in result.out
    assert len(result.out.splitlines()) == 33
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
    result = extract(tmp_path / "net")
    assert result.status == 0, result.err
    assert "fc8?[2J? [0]" in result.out and len(result.out.splitlines()) == 33
    assert all(line.isprintable() for line in result.out.split("\n"))


def test_a_fresh_head_for_other_classes(extract, tmp_path, reference_model):
    flags = ["--head", "init", "--num_classes", 5]
    result = extract(DATA / "caffe_narrow_v1.caffemodel", *flags)
    assert result.status == 0 and "afresh: small, random" in result.out
    model, _ = load_model(tmp_path / "out/model.ckpt-init")
    assert model.num_classes == 5
    np.testing.assert_array_equal(model.parameters["fc7/w"], reference_model.parameters["fc7/w"])


def test_vgg16_becomes_a_seed_for_training(extract, script, shapes, tmp_path):
    result = extract(DATA / "vgg16_narrow_v1.caffemodel")
    assert result.status == 0, result.err
    assert "1 x 1 x 256 x 1568  ->  fc6/w        3 x 3 x 32 x 64" in result.out
    seed = tmp_path / "out/model.ckpt-init"
    source = by_layer(read_caffemodel(DATA / "vgg16_narrow_v1.caffemodel"))
    model, _ = load_model(seed)
    assert model.width == 1 / 16 and model.num_classes == 21
    fc6 = source["fc6"][0].reshape(256, 32, 7, 7)
    assert model.parameters["fc6/w"][2, 1, 7, 3] == fc6[12, 7, 6, 3]
    data = ["--data_dir", shapes, "--data_list", "ImageSets/Segmentation/train.txt"]
    size = ["--input_size", "65,65", "--batch_size", 1, "--num_steps", 1]
    trained = ["--snapshot_dir", tmp_path / "run"]
    result = script("train", *data, *size, *trained, "--restore_from", seed)
    assert result.status == 0, result.err
    assert "width 0.0625" in result.out and str(seed) in result.out


def test_a_trained_checkpoint_is_stripped_for_the_first_version(extract, tmp_path, checkpoint):
    assert extract(checkpoint).status == 0
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "out/model.ckpt-init"))}
    first = {name for name, _ in tf.train.list_variables(str(DATA / "tf012_narrow_v1.ckpt"))}
    assert names == first


@pytest.mark.filterwarnings("ignore")
def test_keras_without_top_starts_fc6_and_fc7_afresh(extract, tmp_path):
    from helpers import keras_vgg16_network

    keras_vgg16_network(top=False).save(tmp_path / "net.h5")
    result = extract(tmp_path / "net.h5")
    assert result.status == 0, result.err
    assert result.out.count("afresh: small, random") == 3 and "conv12/w" in result.out


PYCAFFE = """
from pathlib import Path
from types import SimpleNamespace
import numpy as np
TEST = 1
class Net:
    def __init__(self, prototxt, weights, phase):
        assert phase == TEST and 'name: "fc8_voc12"' in Path(prototxt).read_text()
        if not weights.endswith(".caffemodel"):
            raise RuntimeError("Could not open file")
        blobs = np.load({npz!r})
        self.params = {{}}
        for key in blobs.files:
            self.params.setdefault(key[:-2], []).append(SimpleNamespace(data=blobs[key]))
"""


def test_reading_through_pycaffe(extract, tmp_path, monkeypatch, reference_model):
    layers = by_layer(read_caffemodel(DATA / "caffe_narrow.caffemodel"))
    blobs = {f"{name} {i}": b for name, pair in layers.items() for i, b in enumerate(pair)}
    np.savez(tmp_path / "blobs.npz", **blobs)
    (tmp_path / "caffe.py").write_text(PYCAFFE.format(npz=str(tmp_path / "blobs.npz")))
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    result = extract(DATA / "caffe_narrow.caffemodel", "--pycaffe_path", tmp_path)
    assert result.status == 0, result.err
    tensors = read_tensors(tmp_path / "out/model.ckpt-init")
    np.testing.assert_array_equal(tensors["fc6/w"], reference_model.parameters["fc6/w"])
    del __import__("sys").modules["caffe"]


@pytest.mark.parametrize(
    ("source", "flags", "words"),
    [
        ("nowhere", [], ["no checkpoint", "nowhere"]),
        (DATA / "vgg16_narrow_v1.caffemodel", ["--head", "keep"], ["no last layer", "--head init"]),
        (DATA / "py2_net_skeleton.ckpt", [], ["net_weights"]),
        (
            DATA / "caffe_narrow.caffemodel",
            ["--pycaffe_path", "nowhere"],
            ["no pycaffe in nowhere"],
        ),
        (DATA / "caffe_narrow_blobs.npz", [], ["no DeepLab-LargeFOV"]),
    ],
)
def test_mistakes_are_named(extract, source, flags, words):
    result = extract(source, *flags)
    assert result.status == 2 and result.err.startswith("error: ")
    assert all(word in result.err for word in words), result.err


def test_nothing_is_overwritten(extract, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/net_weights.npz").write_text("precious")
    result = extract(DATA / "caffe_narrow.caffemodel")
    assert result.status == 2 and "net_weights.npz exists" in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["net_weights.npz"]


def test_a_head_that_is_kept_keeps_its_classes(extract):
    result = extract(DATA / "caffe_narrow.caffemodel", "--num_classes", 5)
    assert result.status == 2 and "21 classes, not 5; use --head init" in result.err


def test_foreign_tensors_are_reported(extract, tmp_path, reference_model):
    tensors = {name: parameter.numpy() for name, parameter in reference_model.parameters.items()}
    np.savez(tmp_path / "more.npz", fc9=np.zeros(3, np.float32), **tensors)
    result = extract(tmp_path / "more.npz")
    assert result.status == 2 and "fc9 is extra" in result.err
