"""Files that PyTorch and safetensors wrote, against what PyTorch computes with them.

rgb in torch_outputs.npz is a picture; conv5_3 and scores are PyTorch's for it, each on its own kind
of input.
"""

import argparse
import collections
import pickle
import struct
import zipfile

import numpy as np
import pytest

from deeplab_lfov import Predictor, UserError
from deeplab_lfov.preprocess import network_input
from deeplab_lfov.weights.checkpoints import load_model
from deeplab_lfov.weights.conversion import folded
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.matching import match_layers
from deeplab_lfov.weights.pickles import read_torch, state_dict_of
from deeplab_lfov.weights.plain_arrays import read_safetensors
from helpers import DATA

VGG16 = "torch_vgg16.pth"
BORDER = 14  # cells of conv5_3 that see padding, which is another mean there


@pytest.fixture(scope="module")
def outputs():
    return np.load(DATA / "torch_outputs.npz")


@pytest.fixture
def seed(script, tmp_path):
    """Extract a file's weights; returns the network, and what was printed."""

    def call(name, *flags):
        result = script("util.extract_params", DATA / name, "--output_dir", tmp_path / name, *flags)
        assert result.status == 0, result.err
        return load_model(tmp_path / name)[0], result.out

    return call


def error(one, two):
    return np.abs(one - two).max() / np.ptp(two)


@pytest.mark.parametrize(
    ("name", "expected", "flags", "border"),
    [
        (VGG16, "torchvision", [], BORDER),
        ("torch_vgg16_stream.pth", "torchvision", ["--input", "torchvision"], BORDER),
        ("torch_vgg16_bn.pth", "torchvision_bn", [], BORDER),
        ("torch_vgg16_caffe_nested.pth", "caffe", ["--input", "caffe"], 0),
    ],
)
def test_conv5_3_is_pytorchs(seed, outputs, name, expected, flags, border):
    model, out = seed(name, *flags)
    blobs = dict(model.blobs(network_input(outputs["rgb"])[np.newaxis]))
    ours, truth = blobs["conv5_3"][0].numpy(), outputs[f"conv5_3/{expected}"]
    inner = slice(border, -border or None)
    assert error(ours[inner, inner], truth[inner, inner]) < 1e-5
    assert error(ours, truth) < 2e-3
    assert f"input    {'caffe' if 'caffe' in expected else 'torchvision'}, " in out


def test_scores_of_largefov_are_pytorchs(outputs):
    predictor = Predictor(DATA / "torch_largefov_half.pth")
    scores = predictor.model.scores(network_input(outputs["rgb"])[np.newaxis])[0].numpy()
    assert error(scores, outputs["scores/largefov_half"]) < 1e-5


def test_the_formats_hold_the_same():
    zipped, stream = (dict(read_torch(DATA / name)) for name in (VGG16, "torch_vgg16_stream.pth"))
    short = dict(read_safetensors(DATA / "torch_vgg16_bf16.safetensors"))
    assert set(zipped) == set(stream) == set(short)
    for name, tensor in zipped.items():
        np.testing.assert_array_equal(tensor, stream[name])
        np.testing.assert_allclose(tensor, short[name], rtol=2**-8)


def test_what_was_folded_leaves_filters_of_their_size():
    layers = match_layers(dict(read_torch(DATA / VGG16)), VGG16, "file").layers
    for name, (weight, bias) in folded(layers, "torchvision").items():
        ratio = weight.std() / layers[name][0].std()
        assert 0.7 < ratio <= 1.0 and len(bias) == len(weight), name


def test_plain_vgg16_is_told_what_to_do():
    with pytest.raises(UserError, match="a plain VGG-16; util/extract_params.py"):
        read_tensors(DATA / VGG16)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state": {}, "param_groups": []}, "an optimizer and no network"),
        ({"epoch": 3}, "no tensors"),
        ([1], "no tensors"),
        ({"a": {"w": np.ones((1, 1))}, "b": {"w": np.ones((1, 1))}}, "several networks: a, b"),
    ],
)
def test_files_without_a_network_are_named(content, words):
    with pytest.raises(UserError, match=words):
        state_dict_of(content, "x.pth")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\xff\xd8\xff\xe0\0", "a picture"),
        (b"version https://git-lfs.github.com/spec/v1\n\0", "git lfs pull"),
        (b"<!DOCTYPE html>\0", "a web page"),
        (b"\x08\x07\x12\x07pytorch\x1a", "a file of ONNX; util/extract_params.py"),
        (b"GGUF\3\0\0\0", "a network packed for inference"),
        (b"\x12\1\0\0\0\0\0\0", "is of MXNet"),
        (b"\x81\xa6params\x81", "is msgpack"),
        (b"MATLAB 5.0 MAT-file", "is of MATLAB"),
        (b'{"metadata": {}, "weight_map": {}}', "lists the parts of a network"),
        (b"PK\x03\x04x/archive_format", "is of torch.export"),
        (b"name: 'VGG'\0", "a prototxt"),
        (b"\x08\x01\x12\x02", "a saved_model.pb"),
        (b"GIF89a\0", "a picture"),
        (b"\x1f\x8b\x08", "is packed; unpack it"),
        (b"\x93NUMPY\x01", "one array of numpy's"),
        (b"PK\x03\x04readme.txt", "a zip of other files; unpack it"),
        (b"", "is empty"),
        (b'{"message": "Not Found"}', "is text"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, head, words):
    (tmp_path / "x.pth").write_bytes(head)
    with pytest.raises(UserError, match=words):
        read_tensors(tmp_path / "x.pth")


def test_a_saved_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match="is a SavedModel"):
        read_tensors(tmp_path)


class Call:
    """What pickles as a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def archive(tmp_path):
    """Write a zip of PyTorch's form with that pickle in it."""

    def call(pickled, **members):
        with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
            file.writestr("x/data.pkl", pickled)
            for name, content in members.items():
                file.writestr(f"x/{name}", content)
        return tmp_path / "x.pth"

    return call


def tensor(offset=0, shape=(2, 1), strides=(1, 1), count=2, kind="FloatStorage"):
    """A pickle of a dict of tensors, by hand: nobody here has PyTorch."""
    number = lambda n: b"\x8a\x08" + n.to_bytes(8, "little", signed=True)  # noqa: E731
    numbers = lambda them: b"(" + b"".join(map(number, them)) + b"t"  # noqa: E731
    text = lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()  # noqa: E731
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu")
    storage += number(count) + b"tQ"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    made += numbers(shape) + numbers(strides) + b"\x89Ntr".replace(b"r", b"R")
    return b"\x80\x02}(" + text("w0") + made + b"u."


def test_the_helper_writes_tensors(archive):
    content = struct.pack("<4f", 1, 2, 3, 4)
    path = archive(tensor(1, (2, 1), (2, 1), 4), **{"data/0": content})
    np.testing.assert_array_equal(dict(read_torch(path))["w0"], [[2], [4]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"offset": 1}, "incompatible with shape"),
        ({"offset": -1}, "incompatible with shape"),
        ({"shape": (3, 1), "strides": (1, 1)}, "incompatible with shape"),
        ({"shape": (2, 1), "strides": (-1, 1)}, "incompatible with shape"),
        ({"shape": (2, 2)}, "strides"),
        ({"kind": "nn.Module"}, "x.pth calls torch.nn.Module, which no weights need"),
    ],
)
def test_tensors_that_lie_are_refused(archive, changes, words):
    path = archive(tensor(**changes), **{"data/0": bytes(8)})
    with pytest.raises((ValueError, UserError), match=words):
        list(read_torch(path))


@pytest.mark.parametrize("what", [Call(eval, "1 / 0"), Call(print, "x"), {"a": Call(print, "x")}])
def test_other_calls_are_refused(archive, capsys, what):
    with pytest.raises(UserError, match=r"x.pth calls \w+\.\w+, .*; save its state dict alone"):
        list(read_torch(archive(pickle.dumps(what, 2))))
    assert not capsys.readouterr().out


def test_distributed_tensors_are_named(archive):
    with pytest.raises(UserError, match="if its tensors are distributed, torch.save what"):
        list(read_torch(archive(b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n.")))


def test_tensors_are_found_in_ordered_dicts_and_parameters(archive):
    one = tensor().removeprefix(b"\x80\x02}(X\x02\0\0\0w0").removesuffix(b"u.")
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + one + b"\x88NtR"
    pairs = b"](](X\x01\0\0\0w" + parameter + b"ee\x85"
    path = archive(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"R.", **{"data/0": bytes(8)})
    ((name, values),) = read_torch(path)
    assert name == "w" and values.tolist() == [[0], [0]]


def test_what_training_puts_beside_weights_is_passed_over(archive):
    beside = {
        "state_dict": {"w.weight": np.ones((2, 2), np.float32)},  # of NumPy's
        "scheduler": collections.Counter([3, 5]),
        "best": collections.defaultdict(list, a=[1]),
        "args": argparse.Namespace(lr=0.1),
    }
    ((name, values),) = read_torch(archive(pickle.dumps(beside, 2)))
    assert name == "w.weight" and values.tolist() == [[1, 1], [1, 1]]


def test_storages_in_the_other_order_of_bytes(archive):
    content = {"data/0": struct.pack(">2f", 1, 2), "byteorder": "big"}
    ((_, values),) = read_torch(archive(tensor(), **content))
    assert values.tolist() == [[1], [2]]


def test_a_stream_has_its_storages_behind(tmp_path):
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"little_endian": True}, 2),
    ]
    parts += [tensor(), pickle.dumps(["0"], 2), struct.pack("<Q2f", 2, 1, 2)]
    (tmp_path / "x.pth").write_bytes(b"".join(parts))
    ((_, values),) = read_torch(tmp_path / "x.pth")
    assert values.tolist() == [[1], [2]]


def test_torchscript_is_named(archive):
    with pytest.raises(ValueError, match="TorchScript archive; save"):
        list(read_torch(archive(pickle.dumps({}, 2), **{"constants.pkl": b""})))
