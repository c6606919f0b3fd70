"""Files that PyTorch and safetensors wrote, against what PyTorch computes with them.

rgb in torch_outputs.npz is a picture; conv5_3 and scores are PyTorch's for it, each on its own kind
of input.
"""

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
from deeplab_lfov.weights.pickles import read_torch
from deeplab_lfov.weights.plain_arrays import read_safetensors
from deeplab_lfov.weights.torch_layouts import (
    has_torchvision_names,
    layers_of,
    sources_of,
    state_dict_of,
)
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
    layers = layers_of(dict(read_torch(DATA / VGG16)), VGG16)
    for name, (weight, bias) in folded(layers).items():
        ratio = weight.std() / layers[name][0].std()
        assert 0.7 < ratio <= 1.0 and len(bias) == len(weight), name


def test_plain_vgg16_is_told_what_to_do():
    with pytest.raises(UserError, match="a plain VGG-16; util/extract_params.py"):
        read_tensors(DATA / VGG16)


def numbers(name, *shape):
    return {f"{name}.weight": np.zeros(shape, np.float32), f"{name}.bias": np.zeros(shape[0])}


def vgg(*tops, prefix="features"):
    tensors, inputs = {}, 3
    for number, channels in enumerate((1, 1, 2, 2, 4, 4, 4) + (8,) * 6):
        tensors |= numbers(f"{prefix}.{2 * number}", channels, inputs, 3, 3)
        inputs = channels
    for number, shape in enumerate(tops):
        tensors |= numbers(f"classifier.{number}", *shape)
    return tensors


@pytest.mark.parametrize(
    ("tensors", "layers"),
    [
        (vgg(), 13),
        (vgg((16, 8, 3, 3), (16, 16, 1, 1), prefix="vgg"), 15),
        (vgg((64, 392), (64, 64), (10, 64)), 16),
        (vgg((64, 8, 7, 7), (64, 64, 1, 1)), 15),
    ],
)
def test_layers_are_told_by_their_order(tensors, layers):
    names = list(layers_of(tensors, "x"))
    assert len(names) == layers and names[12] == "conv5_3" and names[13:14] in (["fc6"], [])


def test_layers_of_timms_names():
    """In a .safetensors names are sorted, and its head comes before what is below it."""
    tensors = vgg() | numbers("head.fc", 10, 64)
    tensors |= numbers("pre_logits.fc1", 64, 8, 7, 7) | numbers("pre_logits.fc2", 64, 64, 1, 1)
    layers = layers_of(tensors, "x")
    shapes = [layers[name][0].shape for name in ("fc6", "fc7", "fc8")]
    assert shapes == [(64, 8, 7, 7), (64, 64, 1, 1), (10, 64)]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (vgg((1, 1), (1, 1), (1, 1), (1, 1)), "17 layers of filters, the last classifier.3"),
        (numbers("layer1.0", 64, 3, 7, 7), "1 layers of filters"),
        (
            vgg() | numbers("features.8", 5, 2, 3, 3),
            "features.8 is 5x2x3x3, and conv3_1 would be 4x2x3x3",
        ),
        (vgg((64, 392), (64, 63)), "classifier.1 is 64x63, and fc7 would be 64x64"),
        (vgg() | {"norm.weight": np.zeros(3)}, "neither convolution nor linear"),
    ],
)
def test_other_networks_are_refused(tensors, words):
    with pytest.raises(UserError, match=words):
        layers_of(tensors, "x")


def renamed(tensors, *names):
    old = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    new = dict(zip(old, names, strict=False))
    parts = ((*name.rpartition("."), tensor) for name, tensor in tensors.items())
    return {f"{new.get(module, module)}.{part}": tensor for module, _, part, tensor in parts}


def test_layers_whose_names_are_in_no_order_are_taken_as_the_file_has_them():
    tensors = vgg((16, 8, 3, 3), (16, 16, 1, 1), (5, 16, 1, 1), prefix="trunk")
    names = [*(f"trunk.{2 * n}" for n in range(13)), "wide", "narrow", "classes"]
    tensors = renamed(tensors, *names)
    layers = layers_of(tensors, "x")
    assert sources_of(tensors, layers) == names and layers["fc8"][0].shape == (5, 16, 1, 1)


def test_two_orders_of_layers_that_would_both_do_are_refused():
    """conv4_2 to conv5_3 have one shape: `two` and `three` would be swapped by their names."""
    names = [f"stage{stage}.{n}" for stage in (1, 2) for n in ("one", "two")]
    names += [f"stage{stage}.{n}" for stage in (3, 4, 5) for n in ("one", "two", "three")]
    with pytest.raises(UserError, match="two possible orders: stage3.two is before stage3.three"):
        layers_of(renamed(vgg(), *names), "x")


def test_torchvisions_names_are_known_inside_of_another_network():
    assert has_torchvision_names(vgg(prefix="backbone.features"))
    assert not has_torchvision_names(vgg(prefix="my_features"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state": {}, "param_groups": []}, "an optimizer and no network"),
        ({"epoch": 3}, "no tensors"),
        ([1], "no tensors"),
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
        (b"\x08\x07\x12\x07pytorch\x1a", "an ONNX file"),
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
        ({"kind": "nn.Module"}, "it calls torch.nn.Module, which no weights need"),
    ],
)
def test_tensors_that_lie_are_refused(archive, changes, words):
    path = archive(tensor(**changes), **{"data/0": bytes(8)})
    with pytest.raises(ValueError, match=words):
        list(read_torch(path))


@pytest.mark.parametrize("what", [Call(eval, "1 / 0"), Call(print, "x"), {"a": Call(print, "x")}])
def test_other_calls_are_refused(archive, capsys, what):
    with pytest.raises(ValueError, match=r"it calls \w+\.\w+, .*; save its state dict alone"):
        list(read_torch(archive(pickle.dumps(what, 2))))
    assert not capsys.readouterr().out


def test_tensors_are_found_in_ordered_dicts_and_parameters(archive):
    one = tensor().removeprefix(b"\x80\x02}(X\x02\0\0\0w0").removesuffix(b"u.")
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + one + b"\x88NtR"
    pairs = b"](](X\x01\0\0\0w" + parameter + b"ee\x85"
    path = archive(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"R.", **{"data/0": bytes(8)})
    ((name, values),) = read_torch(path)
    assert name == "w" and values.tolist() == [[0], [0]]


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
