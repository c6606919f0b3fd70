"""SBD's masks: the one array in a .mat file that is needed, found without unpacking the others.

A .mat file (MATLAB 5) is a head of 128 bytes and elements: a type, a number of bytes, and as many,
padded to 8. Reading all that a file may hold would mean memory as it claims, and a depth that ends
the process.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from util.voc_archives import read_file

MOST_UNPACKED = 16 << 20
"""Bytes that a file's content may unpack to; SBD's have less than a megabyte."""

_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _NUMBERS = 2, range(6, 16)  # classes of arrays
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}


def read_sbd_labels(path: Path) -> np.ndarray:
    """Read GTcls.Segmentation of a .mat file of SBD: labels uint8 [H, W], 0 to 20.

    Raises UserError for a file that is missing, too large, damaged or no mask.
    """
    try:
        labels = _segmentation(read_file(path))
    except FileNotFoundError as error:
        raise UserError(f"neither source holds a mask for {path.stem}") from error
    except Exception as error:  # of bytes that are taken for numbers anything may be wrong
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is damaged or no mask of SBD: {reason}", path) from error
    if labels.ndim != 2 or not labels.size:
        raise UserError(f"{path} is no mask of SBD: its sides are {labels.shape}", path)
    if not np.isin(labels, np.arange(21)).all():
        raise UserError(f"{path} is no mask of SBD: its labels go up to {labels.max()}", path)
    return labels.astype(np.uint8)


def _segmentation(content: bytes) -> np.ndarray:
    order = {b"IM": "<", b"MI": ">"}[content[126:128]]
    left = MOST_UNPACKED
    for kind, body in _elements(content[128:], order):
        if kind == _COMPRESSED:
            unpacked = _unpacked(body, left)
            left -= len(unpacked)
            kind, body = next(_elements(unpacked, order))
        if kind == _MATRIX:
            array_class, _, name, parts = _matrix(body, order)
            if name == b"GTcls" and array_class == _STRUCT:
                return _numbers(_field(parts, b"Segmentation", order), order)
    raise ValueError("there is no GTcls in it")


def _unpacked(content: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(content, most + 1)[:most]
    if not unpacker.eof:
        raise ValueError(f"it ends early, or unpacks to over {MOST_UNPACKED:,} bytes")
    return unpacked


def _elements(content: bytes, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the bytes of each element."""
    content, start = memoryview(content), 0
    while start + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, start)
        head = 8
        if kind >> 16:  # of 4 bytes and fewer, right behind a head of half the size
            kind, size, head = kind & 0xFFFF, kind >> 16, 4
        body = content[start + head : start + head + size]
        if len(body) < size:
            raise ValueError("it ends early")
        yield kind, body
        start += head + size
        if kind != _COMPRESSED:
            start += -start % 8


def _matrix(
    body: bytes, order: str
) -> tuple[int, tuple[int, ...], bytes, Iterator[tuple[int, memoryview]]]:
    """Take an array apart: its class, sides, name, and the elements behind."""
    parts = _elements(body, order)
    (_, flags), (_, sides), (_, name) = next(parts), next(parts), next(parts)
    array_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    return array_class, tuple(np.frombuffer(sides, f"{order}i4").tolist()), bytes(name), parts


def _field(parts: Iterator[tuple[int, memoryview]], wanted: bytes, order: str) -> memoryview:
    """Return the array in a field of a struct of 1 x 1."""
    (_, width), (_, names) = next(parts), next(parts)
    width = int(np.frombuffer(width, f"{order}i4")[0])
    if not 0 < len(names) <= 1000 * width:
        raise ValueError("its fields have no names, or thousands")
    names = [bytes(names[at : at + width]).rstrip(b"\0") for at in range(0, len(names), width)]
    values = dict(zip(names, (value for _, value in parts), strict=False))
    return values[wanted]


def _numbers(body: memoryview, order: str) -> np.ndarray:
    array_class, sides, _, parts = _matrix(body, order)
    if array_class not in _NUMBERS:
        raise ValueError("its Segmentation holds no numbers")
    kind, content = next(parts)
    numbers = np.frombuffer(content, np.dtype(_DTYPES[kind]).newbyteorder(order))
    if len(numbers) != math.prod(sides):
        raise ValueError(f"its Segmentation has {len(numbers):,} numbers for sides of {sides}")
    return numbers.reshape(sides, order="F")  # column by column
