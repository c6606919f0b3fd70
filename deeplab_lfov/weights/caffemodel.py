"""The reader of .caffemodel files, without Caffe and without Caffe's messages.

Only the fields that hold weights are read, after Caffe's caffe.proto; all others, those of the
authors' fork included, are skipped. No number passes through Python, and no layer or blob becomes
an object before it has weights.
"""

import math
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.wire import Reader, Value, WireError, signed

# Of NetParameter: layers in the legacy format and the current, and where both keep name and blobs.
_LAYERS = {2: (4, 6), 100: (1, 7)}
_SIZES = (1, 2, 3, 4)  # of BlobProto: num, channels, height, width
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_DIM = 1  # of BlobShape
_DTYPES = {_DATA: "<f4", _DOUBLE_DATA: "<f8"}
_MOST_DIMENSIONS = 8


def read_caffemodel(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Read the blobs of every layer that has some, float32 as Caffe lays them out, by name.

    Filters are OIHW; fully connected layers [outputs, inputs] in the current format and
    [1, 1, outputs, inputs] in the legacy one. Raises UserError for a file that is no caffemodel,
    damaged, or whose blobs hold another number of values than their shapes say.
    """
    reader, net = Reader(), memoryview(Path(path).read_bytes())
    layers = {number: [] for number in _LAYERS}
    blobs = {}
    try:
        for number, layer in reader.fields(net):
            if number in _LAYERS:
                layers[number].append(_bytes(layer))
        for number, found in layers.items():
            for layer in found:
                _read_layer(reader, layer, _LAYERS[number], blobs, path)
    except WireError as error:
        raise UserError(f"{path} is damaged or no caffemodel: {error}") from error
    if not blobs:
        raise UserError(f"{path} is damaged or no caffemodel: no layer in it has weights")
    return blobs


def _read_layer(
    reader: Reader,
    layer: memoryview,
    numbers: tuple[int, int],
    blobs: dict[str, list[np.ndarray]],
    path: str | Path,
) -> None:
    """Put a layer's blobs under its name; numbers are those of the fields of name and blobs."""
    name, found = "", []
    for number, value in reader.fields(layer):
        if number == numbers[0]:
            name = str(_bytes(value), "utf-8", "replace")
        elif number == numbers[1]:
            found.append(_bytes(value))
    if found and name in blobs:
        raise UserError(f"{path} holds weights of two layers named {name}")
    if found:
        where = f"{path}, layer {name}"  # once: a name may be as long as the file
        blobs[name] = [_read_blob(reader, blob, where) for blob in found]


def _read_blob(reader: Reader, blob: memoryview, where: str) -> np.ndarray:
    """Read the values of a blob in its shape; raises UserError where the two do not agree."""
    sizes, dims, pieces = dict.fromkeys(_SIZES, 0), None, {_DATA: [], _DOUBLE_DATA: []}
    try:
        for number, value in reader.fields(blob):
            if number in pieces:
                pieces[number].append(_bytes(value))
            elif number in sizes and isinstance(value, int):
                sizes[number] = signed(value)
            elif number == _SHAPE:
                dims = (dims or []) + _dims(reader, _bytes(value))
    except WireError as error:
        raise UserError(f"{where}: a blob is damaged: {error}") from error
    shape = tuple(sizes.values() if dims is None else dims)
    if len(shape) > _MOST_DIMENSIONS:
        raise UserError(f"{where}: a blob has {len(shape)} dimensions; it is damaged")
    values = [_joined(pieces[number], dtype) for number, dtype in _DTYPES.items()]
    return _shaped(values, shape, where)


def _dims(reader: Reader, shape: memoryview) -> list[int]:
    dims = []
    for number, value in reader.fields(shape):
        if number == _DIM:
            dims += [value] if isinstance(value, int) else reader.varints(value)
    return [signed(dim) for dim in dims]


def _shaped(values: list[np.ndarray], shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return those of the values, float or double, that fill the shape, as float32."""
    size = math.prod(shape)
    for numbers in values:
        if numbers.size == size and min(shape, default=1) > 0:
            return numbers.astype(np.float32).reshape(shape)
    sizes = "x".join(map(str, shape))
    most = max(numbers.size for numbers in values)
    raise UserError(f"{where}: a blob of {sizes} holds {most} values; it is damaged")


def _joined(pieces: list[memoryview], dtype: str) -> np.ndarray:
    """Read numbers out of pieces; a damaged length drops the rest of a number."""
    content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return np.frombuffer(content, dtype, count=len(content) // np.dtype(dtype).itemsize)


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise WireError("a field is a number that should be bytes")
    return value
