"""The reader of .caffemodel files, by protobuf and without Caffe.

Of Caffe's caffe.proto only the fields that hold weights are described, the numbers as bytes: no
number becomes an object of Python's. All other fields, those of the authors' fork too, are skipped.
"""

import math
from pathlib import Path

import numpy as np
from google.protobuf.message import Message

from deeplab_lfov.weights.foreign import Pairs
from deeplab_lfov.weights.onnx_file import message_type

_MESSAGES = {
    "Net": {"layers": (2, "OldLayer"), "layer": (100, "Layer")},
    "OldLayer": {"name": (4, "bytes"), "blobs": (6, "Blob")},
    "Layer": {"name": (1, "bytes"), "blobs": (7, "Blob")},
    "Blob": {
        **{"num": (1, "int64"), "channels": (2, "int64")},
        **{"height": (3, "int64"), "width": (4, "int64")},
        **{"data": (5, "bytes"), "shape": (7, "Shape"), "double_data": (8, "bytes")},
    },
    "Shape": {"dim": (1, "int64")},
}
"""Numbers and types of fields; all may come again, as protobuf writes packed numbers in pieces."""


def read_caffemodel(path: Path) -> Pairs:
    """Yield the layer and the values of each blob, float32 as Caffe lays them out.

    Filters are OIHW; fully connected layers [outputs, inputs] in the current format and
    [1, 1, outputs, inputs] in the legacy one. Raises ValueError for a file that is no caffemodel,
    damaged, or whose blobs hold another number of values than their shapes say.
    """
    net = message_type("Net", _MESSAGES).FromString(path.read_bytes())
    layers = [layer for layer in (*net.layers, *net.layer) if layer.blobs]
    if not layers:
        raise ValueError("no layer in it has weights")
    for layer in layers:
        name = b"".join(layer.name[-1:]).decode("utf-8", "replace")
        for blob in layer.blobs:
            yield name, _values(blob, name)


def _values(blob: Message, name: str) -> np.ndarray:
    """Return the blob's numbers, float or double, whichever fill its shape."""
    shape = [dim for each in blob.shape for dim in each.dim]
    if not blob.shape:
        old = (blob.num, blob.channels, blob.height, blob.width)
        shape = [each[-1] if each else 0 for each in old]
    for pieces, dtype in ((blob.data, "<f4"), (blob.double_data, "<f8")):
        values = np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), dtype)
        if len(values) == math.prod(shape) and min(shape, default=1) > 0:
            return values.astype(np.float32, copy=False).reshape(shape)
    raise ValueError(f"layer {name}: a blob of {shape} holds another number of values")
