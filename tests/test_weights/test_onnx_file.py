"""ONNX files, written by protobuf with the messages of the reader."""

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.onnx_file import _MESSAGES, message_type, read_onnx

FILTERS = np.arange(12, dtype="<f4").reshape(4, 3, 1, 1)
FOUR = np.arange(4, dtype="<f4")


def tensor(name, array, **how):
    kind = {"f": 1, "e": 10}[array.dtype.char]
    how = how or {"raw_data": [array.tobytes()]}
    return {"name": [name.encode()], "dims": array.shape, "data_type": [kind], **how}


def node(kind, inputs, output, *attributes):
    names = [name.encode() for name in inputs.split()]
    return {
        **{"op_type": [kind.encode()], "input": names, "output": [output.encode()]},
        "attribute": attributes,
    }


@pytest.fixture
def read(tmp_path):
    """Write a graph, read what is in it."""

    def call(nodes, tensors):
        graph = {"node": nodes, "initializer": tensors}
        (tmp_path / "x.onnx").write_bytes(
            message_type("Model", _MESSAGES)(graph=[graph]).SerializeToString()
        )
        return dict(read_onnx(tmp_path / "x.onnx"))

    return call


CONV = node("Conv", "x a.weight", "y")
WEIGHT = tensor("a.weight", FILTERS)
SHIFT = tensor("s", FOUR.reshape(1, 4, 1, 1))


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        ([node("Conv", "x a.weight a.bias", "y")], [WEIGHT, tensor("a.bias", FOUR)]),
        ([CONV, node("Add", "y s", "z")], [WEIGHT, SHIFT]),  # a bias of its own
        (
            [node("Conv", "x a.weight b", "y")],
            [tensor("a.weight", FILTERS, float_data=[FILTERS.tobytes()]), tensor("b", FOUR)],
        ),
        (
            [node("Conv", "x a.weight b", "y")],
            [tensor("a.weight", FILTERS.astype("<f2")), tensor("b", FOUR)],
        ),
        (
            [
                node("Constant", "", "k", {"name": [b"value"], "t": [tensor("", FOUR)]}),
                node("Identity", "k", "b"),
                node("Conv", "x a.weight b", "y"),
            ],
            [WEIGHT],
        ),
    ],
)
def test_filters_and_biases_of_convolutions(read, nodes, tensors):
    found = read(nodes, tensors)
    assert list(found) == ["a.weight", "a.bias"]
    np.testing.assert_array_equal(found["a.weight"], FILTERS)
    np.testing.assert_array_equal(found["a.bias"], FOUR)


def test_batch_norm_behind_a_convolution_is_whole_and_elsewhere_a_vector(read):
    epsilon = {"name": [b"epsilon"], "f": [1e-3]}
    norm = node("BatchNormalization", "{} g b m v", "z", epsilon)
    tensors = [WEIGHT, *(tensor(name, FOUR) for name in "gbmv")]
    found = read([CONV, norm | {"input": [b"y", *norm["input"][1:]]}], tensors)
    np.testing.assert_allclose(found["g.running_var"], FOUR + 1e-3 - 1e-5, rtol=1e-6)
    relu = node("Relu", "y", "r")
    found = read([CONV, relu, norm | {"input": [b"r", *norm["input"][1:]]}], tensors)
    assert list(found) == ["a.weight", "g.weight"]


def test_numbers_beside_the_file(read, tmp_path):
    def entries(**said):
        return [{"key": [k.encode()], "value": [v.encode()]} for k, v in said.items()]

    (tmp_path / "x.onnx.data").write_bytes(b"12345678" + FILTERS.tobytes())
    there = entries(location="x.onnx.data", offset="8")
    found = read([CONV], [tensor("a.weight", FILTERS, external_data=there)])
    np.testing.assert_array_equal(found["a.weight"], FILTERS)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/x.data").write_bytes(FILTERS.tobytes())
    (tmp_path / "x.link").symlink_to(tmp_path / "own/x.data")
    for name in ("own/x.data", "../x.data", str(tmp_path / "x.onnx.data"), "x.link", "secret"):
        with pytest.raises(UserError, match="has to be beside it and called x.onnx.data"):
            read([CONV], [tensor("a.weight", FILTERS, external_data=entries(location=name))])
