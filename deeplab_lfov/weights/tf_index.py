"""A look into the index of a V2 checkpoint before TensorFlow reads it.

TensorFlow ends the process, without an exception, at an entry that makes no sense.
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import tensor_bundle_pb2

from deeplab_lfov.weights.wire import WireError, varint

_FOOTER, _TRAILER = 48, 5  # bytes at the end of the table, and of each block: kind, check sum
_MOST_ENTRIES = 100_000
_MOST_DIMENSIONS = 254
_MOST_VALUES = 1 << 40  # of one tensor, so that no product overflows


def check_index(path: Path) -> None:
    """Raise ValueError for an index whose entries are no descriptions of whole tensors."""
    table = memoryview(path.read_bytes())
    for count, (key, value) in enumerate(_entries(table)):
        if count >= _MOST_ENTRIES:
            raise ValueError(f"it has more than {_MOST_ENTRIES:,} entries")
        if key:
            _check_entry(str(key, "utf-8", "replace"), bytes(value))


def _check_entry(name: str, value: bytes) -> None:
    try:
        entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
    except DecodeError as error:
        raise ValueError(f"the entry of {name} is damaged: {error}") from error
    sizes = [dim.size for dim in entry.shape.dim]
    if entry.slices or entry.shape.unknown_rank or len(sizes) > _MOST_DIMENSIONS:
        raise ValueError(f"{name} is no whole tensor of a known shape")
    values = 1
    for size in sizes:
        values *= size
        if size < 0 or values > _MOST_VALUES:
            raise ValueError(f"{name} has impossible sizes")


def _entries(table: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield key and value of all entries: those of the blocks that the index block names."""
    if len(table) < _FOOTER:
        raise ValueError("its index is cut off")
    footer, handle = table[-_FOOTER:], []
    place = 0
    for _ in range(4):  # place and size of the block of filters, then of the index block
        number, place = varint(footer, place)
        handle.append(number)
    for _, block in _in_block(_block(table, *handle[2:])):
        start, place = varint(block, 0)
        size, _ = varint(block, place)
        yield from _in_block(_block(table, start, size))


def _block(table: memoryview, start: int, size: int) -> memoryview:
    if start + size + _TRAILER > len(table):
        raise ValueError("a block of its index is not there")
    if table[start + size]:
        raise ValueError("its index is packed, as TensorFlow writes none")
    return table[start : start + size]


def _in_block(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the entries of a block; a key is written as what differs from the last."""
    if len(block) < 4:
        raise WireError("a block is cut off")
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    key, place = b"", 0
    while place < end:
        shared, place = varint(block, place)
        added, place = varint(block, place)
        size, place = varint(block, place)
        start = place + added
        if shared > len(key) or start + size > end:
            raise WireError("an entry is longer than its block")
        key = key[:shared] + bytes(block[place:start])
        place = start + size
        yield key, block[start:place]
