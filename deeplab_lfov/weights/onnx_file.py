"""The reader of ONNX files, by protobuf and without onnx, and the maker of protobuf's messages."""

from pathlib import Path

import ml_dtypes
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.weights.foreign import Pairs
from deeplab_lfov.weights.matching import EPSILONS

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
_PARTS = ("weight", "bias", "running_mean", "running_var")
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8", 16: ml_dtypes.bfloat16}


def read_onnx(path: Path) -> Pairs:
    """Yield the filters and biases of each convolution in the order of the graph, float32.

    Filters are OIHW and under the names of their initializers. A batch norm right behind a
    convolution has all four parts; of what else computes with constants the first is named.
    """
    (graph,) = message_type("Model", _MESSAGES).FromString(path.read_bytes()).graph
    constants = {b"".join(tensor.name): tensor for tensor in graph.initializer}
    behind: dict[bytes, str] = {}  # a convolution's output -> its module
    without_bias = set()
    for node in graph.node:
        kind, stored = b"".join(node.op_type), [constants.get(name) for name in node.input]
        if kind == b"Constant" or (kind == b"Identity" and stored[0]):
            values = stored or [each.t[0] for each in node.attribute if each.t]
            constants |= dict.fromkeys(node.output, *values) if values else {}
            continue
        stored = [tensor for tensor in stored if tensor and tensor.data_type[-1] in _TYPES]
        is_convolution = kind in (b"Conv", b"FusedConv")
        if not stored or not (behind or is_convolution) or kind in (b"Resize", b"Upsample"):
            continue
        arrays = [_array(tensor, path) for tensor in stored]
        name = b"".join(stored[0].name) or node.output[0]
        module = name.decode("utf-8", "replace").removesuffix("weight").rstrip("._")
        before = next((name for name in node.input if name in behind), None)
        if is_convolution:
            behind[node.output[0]] = module
            without_bias |= {node.output[0]} if len(arrays) == 1 else set()
        elif kind == b"BatchNormalization" and before:
            own = [each.f[-1] for each in node.attribute if each.name == [b"epsilon"]]
            arrays[3] = arrays[3] + np.float32(*own or [1e-5]) - np.float32(EPSILONS["PyTorch"])
        elif kind == b"Add" and before in without_bias:
            yield f"{behind[before]}.bias", arrays[0].ravel()
            continue
        else:
            arrays = [array for array in arrays[:1] if array.ndim]
        for part, array in zip(_PARTS, arrays, strict=False):
            yield f"{module}.{part}", array


def _array(tensor: Message, path: Path) -> np.ndarray:
    """Return a tensor's numbers as float32; they may be beside the file, under a name like its."""
    data = b"".join(tensor.raw_data) or b"".join(tensor.float_data)
    said = {b"".join(entry.key): b"".join(entry.value) for entry in tensor.external_data}
    if said:
        name = said[b"location"].decode()
        beside = path.with_name(Path(name).name)
        is_own = name == beside.name and (name.startswith(path.stem) or name.endswith(".data"))
        if not (is_own and beside.is_file()) or beside.resolve().parent != path.resolve().parent:
            raise UserError(
                f"{path} has its numbers in {printable(name)}; for safety that has to be beside it "
                f"and called {path.name}.data, or the like; onnx.save it so, or as one file"
            )
        with beside.open("rb") as file:
            file.seek(int(said.get(b"offset", 0)))
            data = file.read(int(said.get(b"length", -1)))
    values = np.frombuffer(data, _TYPES[tensor.data_type[-1]]).reshape(list(tensor.dims))
    return values.astype(np.float32, copy=False)


def message_type(name: str, messages: dict[str, dict[str, tuple]]) -> type[Message]:
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
