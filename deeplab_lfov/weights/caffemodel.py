"""The reader of .caffemodel files, with the protobuf runtime only: no Caffe needed.

Only the fields that hold weights are declared, after Caffe's caffe.proto; all others, those of the
authors' fork included, are unknown fields to the parser and ignored.
"""

import math
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from deeplab_lfov.errors import UserError

_FIELD = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED

# Message -> (field, number, label, type or message). A packed array of numbers is the same bytes on
# the wire as a `bytes` field, and read as one: no number passes through Python. Blob reads arrays
# that are not packed, which very old files have.
_MESSAGES = {
    "Shape": [("dim", 1, _MANY, _FIELD.TYPE_INT64)],
    "Blob": [
        ("data", 5, _MANY, _FIELD.TYPE_FLOAT),
        ("double_data", 8, _MANY, _FIELD.TYPE_DOUBLE),
    ],
    "PackedBlob": [
        ("num", 1, _ONE, _FIELD.TYPE_INT32),
        ("channels", 2, _ONE, _FIELD.TYPE_INT32),
        ("height", 3, _ONE, _FIELD.TYPE_INT32),
        ("width", 4, _ONE, _FIELD.TYPE_INT32),
        ("data", 5, _MANY, _FIELD.TYPE_BYTES),
        ("shape", 7, _ONE, "Shape"),
        ("double_data", 8, _MANY, _FIELD.TYPE_BYTES),
    ],
    "Layer": [("name", 1, _ONE, _FIELD.TYPE_BYTES), ("blobs", 7, _MANY, "PackedBlob")],
    "LegacyLayer": [("name", 4, _ONE, _FIELD.TYPE_BYTES), ("blobs", 6, _MANY, "PackedBlob")],
    "Net": [("layers", 2, _MANY, "LegacyLayer"), ("layer", 100, _MANY, "Layer")],
}


def _message_types() -> dict[str, type[Message]]:
    package = "deeplab_lfov.caffe"
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package=package, syntax="proto2")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, number, label, kind in fields:
            field = declared.field.add(name=name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _MESSAGES
    }


_TYPES = _message_types()


def read_caffemodel(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Read the blobs of every layer that has some, float32 as Caffe lays them out, by name.

    Filters are OIHW; fully connected layers [outputs, inputs] in the current format and
    [1, 1, outputs, inputs] in the legacy one. Raises UserError for a file that is no caffemodel,
    damaged, or whose blobs hold another number of values than their shapes say.
    """
    net = _TYPES["Net"]()
    try:
        net.ParseFromString(Path(path).read_bytes())
    except DecodeError as error:
        raise UserError(f"{path} is damaged or no caffemodel: {error}") from error
    blobs = {}
    for layer in [*net.layers, *net.layer]:
        if layer.blobs:
            name = layer.name.decode("utf-8", "replace")
            if name in blobs:
                raise UserError(f"{path} holds weights of two layers named {name}")
            blobs[name] = [_array(blob, f"{path}, layer {name}") for blob in layer.blobs]
            layer.ClearField("blobs")  # half of the memory of a large file
    if not blobs:
        raise UserError(f"{path} is damaged or no caffemodel: no layer in it has weights")
    return blobs


def _array(blob: Message, where: str) -> np.ndarray:
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    else:
        shape = (blob.num, blob.channels, blob.height, blob.width)
    if len(shape) > 8:
        raise UserError(f"{where}: a blob has {len(shape)} dimensions; it is damaged")
    size = math.prod(shape)
    for values in (_packed(blob.data, "<f4"), _packed(blob.double_data, "<f8")):
        if values.size == size and min(shape, default=1) > 0:
            return values.astype(np.float32, copy=False).reshape(shape)
    return _unpacked(blob, shape, where)


def _packed(chunks: list[bytes], dtype: str) -> np.ndarray:
    """Read the numbers of a packed array; a damaged length drops the rest of a number."""
    content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return np.frombuffer(content, dtype, count=len(content) // np.dtype(dtype).itemsize)


def _unpacked(blob: Message, shape: tuple[int, ...], where: str) -> np.ndarray:
    numbers = _TYPES["Blob"]()
    try:
        numbers.ParseFromString(blob.SerializeToString())
    except DecodeError as error:
        raise UserError(f"{where}: a blob is damaged: {error}") from error
    values = numbers.data or numbers.double_data
    if len(values) != math.prod(shape) or min(shape, default=1) <= 0:
        sizes = "x".join(map(str, shape))
        raise UserError(f"{where}: a blob of {sizes} holds {len(values)} values; it is damaged")
    return np.array(values, np.float32).reshape(shape)
