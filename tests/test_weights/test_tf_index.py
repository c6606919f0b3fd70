"""TensorFlow ends the process at these, so they are read by the check before, with right sums."""

import shutil

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

from deeplab_lfov import UserError
from deeplab_lfov.weights.formats import read_tensors
from helpers import DATA

TABLE_END = bytes.fromhex("57fb808b247547db")
FLOAT, STRING = types_pb2.DT_FLOAT, types_pb2.DT_STRING


def varint(number):
    septets = [number & 127]
    while number := number >> 7:
        septets[-1] |= 128
        septets.append(number & 127)
    return bytes(septets)


def sum_of(content):
    """The masked CRC-32C that TensorFlow keeps of blocks, tensors and lengths of texts."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF).to_bytes(4, "little")


def block(entries, kind=b"\0"):
    content = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    content += bytes(4) + (1).to_bytes(4, "little")
    return content, content + kind + sum_of(content + kind)


def table(entries, kind=b"\0"):
    """A table of one block, as an index is."""
    content, first = block(sorted(entries.items()), kind)
    filters, second = block([])
    handles, third = block([(b"~", varint(0) + varint(len(content)))])
    places = [len(first), len(filters), len(first) + len(second), len(handles)]
    footer = b"".join(map(varint, places)).ljust(40, b"\0")
    return first + second + third + footer + TABLE_END


@pytest.fixture
def read(tmp_path):
    """Write a checkpoint of header, entries and data, and read it."""

    def call(entries, data=b"", **changes):
        header = BundleHeaderProto(num_shards=1)
        header.version.producer = 1
        path = tmp_path / "x.ckpt"
        entries = {
            name: e if isinstance(e, bytes) else e.SerializeToString()
            for name, e in entries.items()
        }
        index = table({b"": header.SerializeToString()} | entries, **changes)
        path.with_name("x.ckpt.index").write_bytes(index)
        path.with_name("x.ckpt.data-00000-of-00001").write_bytes(data)
        return read_tensors(path)

    return call


def entry(data, *sizes, dtype=FLOAT, **more):
    made = BundleEntryProto(
        dtype=dtype, size=len(data), crc32c=int.from_bytes(sum_of(data), "little")
    )
    for size in sizes:
        made.shape.dim.add(size=size)
    made.MergeFrom(BundleEntryProto(**more))
    return made


def texts(*lengths):
    widths = b"".join(n.to_bytes(4 if n < 1 << 32 else 8, "little") for n in lengths)
    return b"".join(map(varint, lengths)) + sum_of(widths) + b"aaaabbb"


def entry_of_texts(data, *sizes):
    """The sum of texts is of their lengths at full width."""
    widths = (4).to_bytes(4, "little") + (3).to_bytes(4, "little")
    made = entry(data, *sizes, dtype=STRING)
    made.crc32c = int.from_bytes(sum_of(widths + data[2:]), "little")
    return made


def test_what_makes_sense_is_read(read):
    values = np.array([1.5, -2.0], "<f4").tobytes()
    np.testing.assert_array_equal(read({b"a": entry(values, 2)}, values)["a"], [1.5, -2.0])
    both = texts(4, 3)
    assert read({b"a": entry_of_texts(both, 2)}, both)["a"].tolist() == [b"aaaa", b"bbb"]


@pytest.mark.parametrize("name", ["tf012_narrow_v2.ckpt"])
def test_the_first_versions_index(tmp_path, name):
    for part in DATA.glob(f"{name}.*"):
        shutil.copy(part, tmp_path)
    assert len(read_tensors(tmp_path / name)) == 32


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (b"\x12\x7f", "the entry of a is damaged"),
        (entry(b"", dtype=99), "99 does not correspond"),
        (entry(bytes(1), 1, dtype=types_pb2.DT_QINT8_REF), "a is of type qint8_ref"),
        (entry(b"", -1), "impossible sizes"),
        (entry(b"", 1 << 62, 1 << 62, 0), "impossible sizes"),
        (entry(b"", *[1] * 255), "no whole tensor"),
        (entry(b"", shape={"unknown_rank": True}), "no whole tensor"),
        (entry(b"", 2, slices=[{}, {}]), "no whole tensor"),
        (entry(b"abcd", 1, offset=1 << 60, dtype=STRING), "lie where nothing is"),
        (entry(b"abcd", 1, offset=-1, dtype=STRING), "lie where nothing is"),
        (entry(b"abcd", 1, shard_id=7, dtype=STRING), "data-00007-of-00001"),
        (entry(b"", 100_001, dtype=STRING), "more than 100,000 texts"),
        (entry(bytes(5), 0, dtype=STRING, size=1 << 40), "texts of more than 16 MiB"),
    ],
)
def test_entries_that_make_no_sense_are_errors(read, made, words):
    with pytest.raises(UserError, match=words):
        read({b"a": made}, bytes(20))


@pytest.mark.parametrize("lengths", [(5, 3), (1 << 40, 3), ((1 << 64) - 1, 8)])
def test_texts_of_other_lengths_are_errors(read, lengths):
    data = texts(*lengths)
    with pytest.raises(UserError, match="a has texts of other lengths"):
        read({b"a": entry(data, 2, dtype=STRING)}, data)


def test_tables_that_are_packed_cut_off_or_without_end_are_errors(tmp_path, read):
    with pytest.raises(UserError, match="its index is packed"):
        read({}, kind=b"\1")
    with pytest.raises(UserError, match="more than 100,000 entries"):
        read({b"%06d" % number: b"" for number in range(100_001)})
    with pytest.raises(UserError, match="longer than any tensor's"):
        read({b"a" * 5000: b""})
    with pytest.raises(UserError, match="longer than any tensor's"):
        read({b"a": bytes(5000)})
    index = tmp_path / "x.ckpt.index"
    content = table({b"a": entry(b"", 0).SerializeToString()})
    for damaged in (b"", content[-47:], content[-48:], content[1:]):
        index.write_bytes(damaged)
        with pytest.raises(UserError, match="x.ckpt is damaged"):
            read_tensors(tmp_path / "x.ckpt")
