"""The reader of ONNX files, by protobuf and without onnx, and the maker of protobuf's messages."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.foreign import Pairs
from deeplab_lfov.weights.matching import EPSILONS

Messages = Mapping[str, Mapping[str, tuple[int, str]]]

_MESSAGES = {
    "Model": {"graph": (7, "Graph")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor")},
    "Node": {
        **{"input": (1, "bytes"), "output": (2, "bytes")},
        **{"op_type": (4, "bytes"), "attribute": (5, "Attribute")},
    },
    "Attribute": {"name": (1, "bytes"), "f": (2, "float"), "t": (5, "Tensor")},
    "Tensor": {
        **{"dims": (1, "int64"), "data_type": (2, "int64"), "float_data": (4, "bytes")},
        **{"name": (8, "bytes"), "raw_data": (9, "bytes"), "external_data": (13, "Entry")},
    },
    "Entry": {"key": (1, "bytes"), "value": (2, "bytes")},
}
"""Of onnx.proto what filters need; all fields may come again, as protobuf merges them."""
_CONVOLUTIONS = ("Conv", "FusedConv")
_WITH_SIZES = ("Resize", "Upsample")  # constants, which compute nothing
_PARTS = ("weight", "bias", "running_mean", "running_var")
_TYPES = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_TYPES |= {16: np.dtype(ml_dtypes.bfloat16)}


def read_onnx(path: Path) -> Pairs:
    """Yield the filters and biases of each convolution in the order of the graph, float32.

    Filters are OIHW and under the names of their initializers. A batch norm right behind a
    convolution has all four parts; of what else computes with constants the first is named. Raises
    UserError for filters that are not there as floats.
    """
    (graph,) = message_type("Model", _MESSAGES).FromString(path.read_bytes()).graph
    constants = _constants(graph)
    behind: dict[str, str] = {}  # a convolution's output -> its module
    without_bias = set()
    for node in graph.node:
        kind, inputs, (output, *_) = _text(node.op_type), node.input, node.output
        stored = [constants[name] for name in inputs if name in constants]
        if not stored or not (behind or kind in _CONVOLUTIONS):
            continue
        arrays = [_array(each, path) for each in stored]
        module = re.sub("[._]weight$", "", _text(stored[0].name)) or _text(node.output)
        before = next((name for name in inputs if name in behind), None)
        if kind in _CONVOLUTIONS:
            behind[output] = module
            without_bias |= {output} if len(arrays) == 1 else set()
        elif kind == "BatchNormalization" and before:
            arrays[3] = arrays[3] + np.float32(_epsilon(node) - EPSILONS["PyTorch"])
        elif kind == "Add" and before in without_bias:
            module, arrays = behind[before], [None, arrays[0].ravel()]
        elif kind in _WITH_SIZES or arrays[0].dtype.kind != "f" or arrays[0].ndim == 0:
            continue
        else:
            arrays = arrays[:1]
        for part, array in zip(_PARTS, arrays, strict=False):
            if array is not None:
                yield f"{module}.{part}", array
    if not behind:
        raise UserError(f"{path} is an ONNX file without convolutions of floats; is it quantized?")


def _constants(graph: Message) -> dict[bytes, Message]:
    """Return the tensors by the names under which nodes take them."""
    constants = {_last(tensor.name): tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == [b"Constant"]:
            values = [each.t[0] for each in node.attribute if each.t]
            constants |= dict.fromkeys(node.output, *values[:1]) if values else {}
        elif node.op_type == [b"Identity"] and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    return constants


def _epsilon(node: Message) -> float:
    found = [each.f[-1] for each in node.attribute if each.name == [b"epsilon"] and each.f]
    return found[0] if found else 1e-5  # the standard's


def _array(tensor: Message, path: Path) -> np.ndarray:
    """Return a tensor's numbers, floats as float32; raises UserError for those in other files."""
    data = b"".join(tensor.raw_data) or b"".join(tensor.float_data)
    if tensor.external_data:
        said = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
        beside = path.with_name(f"{path.name}.data")
        if said["location"] != beside.name or not beside.is_file():
            raise UserError(
                f"{path} has its numbers in another file, which has to be beside it as "
                f"{beside.name} under the name it was written with; or onnx.save it whole"
            )
        with beside.open("rb") as file:
            file.seek(int(said.get("offset", 0)))
            data = file.read(int(said["length"]))
    dtype = _TYPES.get(tensor.data_type[-1], np.dtype("u1"))
    if dtype.kind == "u":
        return np.frombuffer(data, dtype)
    return np.frombuffer(data, dtype).reshape(list(tensor.dims)).astype(np.float32, copy=False)


def _last(texts: Sequence[bytes]) -> bytes:
    return texts[-1] if texts else b""


def _text(texts: Sequence[bytes]) -> str:
    return _last(texts).decode("utf-8", "replace")


def message_type(name: str, messages: Messages) -> type[Message]:
    """Make the class of a message out of all messages' fields: their numbers and types.

    Fields of a type `bytes` may be packed numbers, of which none becomes an object of Python's.
    """
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights")
    field = descriptor_pb2.FieldDescriptorProto
    for each, fields in messages.items():
        made = file.message_type.add(name=each)
        for field_name, (number, kind) in fields.items():
            own = {"type_name": f".weights.{kind}"} if kind in messages else {}
            type_ = field.TYPE_MESSAGE if own else getattr(field, f"TYPE_{kind.upper()}")
            made.field.add(
                name=field_name, number=number, type=type_, label=field.LABEL_REPEATED, **own
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"weights.{name}"))
