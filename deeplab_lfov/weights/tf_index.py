"""A look into the index of a V2 checkpoint before TensorFlow reads it.

TensorFlow ends the process, without an exception, at an entry that makes no sense.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from deeplab_lfov.weights.wire import WireError, varint

_FOOTER, _TRAILER = 48, 5  # bytes at the end of the table, and of each block: kind, check sum
_CRC = 4  # bytes of the check sum between the lengths of texts and the texts
_MOST_OF_AN_ENTRY = 1 << 12  # bytes of a name, or of what is said of a tensor
_MOST_ENTRIES = 100_000
_MOST_TEXTS, _MOST_TEXT_BYTES = 100_000, 16 << 20  # of all tensors
_MOST_DIMENSIONS = 254
_MOST_VALUES = 1 << 40  # of one tensor, before a size of 0 too, so that no product overflows


def check_index(index: Path) -> None:
    """Raise ValueError for an index whose entries are no descriptions of whole tensors."""
    table = memoryview(index.read_bytes())
    shards, texts = 1, []
    for count, (key, value) in enumerate(_entries(table)):
        if count >= _MOST_ENTRIES:
            raise ValueError(f"it has more than {_MOST_ENTRIES:,} entries")
        if key:
            name = str(key, "utf-8", "replace")
            entry = _checked(name, value)
            texts += [(name, entry)] if entry.dtype == types_pb2.DT_STRING else []
        else:
            shards = _parsed(tensor_bundle_pb2.BundleHeaderProto, "its header", value).num_shards
    if sum(_count(entry) for _, entry in texts) > _MOST_TEXTS:
        raise ValueError(f"it has more than {_MOST_TEXTS:,} texts")
    if sum(entry.size for _, entry in texts) > _MOST_TEXT_BYTES:
        raise ValueError(f"it has texts of more than {_MOST_TEXT_BYTES >> 20} MiB")
    for name, entry in texts:
        end = f".data-{entry.shard_id:05d}-of-{shards:05d}"
        _check_texts(name, entry, index.with_name(index.name.removesuffix(".index") + end))


def _parsed(kind: type[Message], what: str, value: bytes | memoryview) -> Message:
    try:
        return kind.FromString(bytes(value))
    except DecodeError as error:
        raise ValueError(f"{what} is damaged: {error}") from error


def _checked(name: str, value: memoryview) -> Message:
    """Parse an entry; raises ValueError unless it is of one whole tensor of a possible shape."""
    entry = _parsed(tensor_bundle_pb2.BundleEntryProto, f"the entry of {name}", value)
    dims = entry.shape.dim
    if entry.slices or entry.shape.unknown_rank or len(dims) > _MOST_DIMENSIONS:
        raise ValueError(f"{name} is no whole tensor of a known shape")
    sizes = [dim.size for dim in dims]
    if min(sizes, default=0) < 0 or math.prod(max(size, 1) for size in sizes) > _MOST_VALUES:
        raise ValueError(f"{name} has impossible sizes")
    return entry


def _count(entry: Message) -> int:
    return math.prod(dim.size for dim in entry.shape.dim)


def _check_texts(name: str, entry: Message, shard: Path) -> None:
    """Raise ValueError unless a tensor's texts are as long as their lengths say.

    TensorFlow asks for memory of any such length, and does not look whether it got it.
    """
    if not 0 <= entry.offset <= entry.offset + entry.size <= shard.stat().st_size:
        raise ValueError(f"{name} is said to lie where nothing is")
    with shard.open("rb") as file:
        file.seek(entry.offset)
        content = memoryview(file.read(entry.size))
    place = total = 0
    for _ in range(_count(entry)):
        length, place = varint(content, place)
        total += length
    if place + _CRC + total != len(content):
        raise ValueError(f"{name} has texts of other lengths than it says")


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
        if max(shared + added, size) > _MOST_OF_AN_ENTRY:  # it may come again without its bytes
            raise WireError("a name or an entry is longer than any tensor's")
        key = key[:shared] + bytes(block[place:start])
        place = start + size
        yield key, block[start:place]
