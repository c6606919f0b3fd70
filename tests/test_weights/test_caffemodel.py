import tracemalloc

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.caffemodel import read_caffemodel
from helpers import DATA

CURRENT, LEGACY = DATA / "caffe_narrow.caffemodel", DATA / "caffe_narrow_v1.caffemodel"


def varint(number):
    septets = [number & 127]
    while number := number >> 7:
        septets[-1] |= 128
        septets.append(number & 127)
    return bytes(septets)


def field(number, content):
    """A length-delimited field of the protobuf wire format."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def shape(*dims):
    return field(7, field(1, b"".join(map(varint, dims))))


def net(blob, tag=100, name_tag=1, blobs_tag=7):
    return field(tag, field(name_tag, b"conv") + field(blobs_tag, blob))


VALUES = np.array([1.5, -2.25, 3.0], "<f4")
UNPACKED = b"".join(varint(5 << 3 | 5) + value.tobytes() for value in VALUES)
UNPACKED_DOUBLE = b"".join(varint(8 << 3 | 1) + value.tobytes() for value in VALUES.astype("<f8"))
LEGACY_SHAPE = b"".join(varint(tag << 3) + varint(dim) for tag, dim in enumerate((1, 1, 1, 3), 1))


def test_current_and_legacy_format_hold_the_same():
    current, legacy = read_caffemodel(CURRENT), read_caffemodel(LEGACY)
    assert list(current) == list(legacy) and len(current) == 16
    for name, blobs in current.items():
        for one, two in zip(blobs, legacy[name], strict=True):
            np.testing.assert_array_equal(one.ravel(), two.ravel())
    assert current["fc6"][0].shape == (64, 32, 3, 3)
    assert legacy["fc6"][1].shape == (1, 1, 1, 64)


@pytest.mark.parametrize(
    ("blob", "expected_shape"),
    [
        (shape(1, 3) + field(5, VALUES.tobytes()), (1, 3)),
        (shape(3) + field(8, VALUES.astype("<f8").tobytes()), (3,)),
        (shape(3) + UNPACKED, (3,)),
        (shape(3) + UNPACKED_DOUBLE, (3,)),
        (shape(3) + field(5, VALUES[:1].tobytes()) + field(5, VALUES[1:].tobytes()), (3,)),
        (LEGACY_SHAPE + field(5, VALUES.tobytes()), (1, 1, 1, 3)),
        (shape(3) + field(5, VALUES.tobytes()) + field(99, b"the fork's"), (3,)),
        (shape(3) + field(5, VALUES.tobytes()) + field(6, bytes(12)), (3,)),
    ],
)
@pytest.mark.parametrize("tags", [(100, 1, 7), (2, 4, 6)])
def test_every_way_to_write_a_blob(tmp_path, blob, expected_shape, tags):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(1, b"a name") + net(blob, *tags) + field(7777, b"unknown"))
    blobs = read_caffemodel(path)["conv"]
    assert blobs[0].shape == expected_shape and blobs[0].dtype == np.float32
    np.testing.assert_array_equal(blobs[0].ravel(), VALUES)


@pytest.mark.parametrize(
    "blob",
    [
        shape(4) + field(5, VALUES.tobytes()),
        shape(1 << 40, 1 << 40) + field(5, VALUES.tobytes()),
        shape(3) + field(5, VALUES.tobytes()[:-1]),
        shape((1 << 64) - 3) + field(5, VALUES.tobytes()),
        shape(0, 3),
        LEGACY_SHAPE + UNPACKED[:10],
    ],
)
def test_blobs_whose_shape_lies_are_errors(tmp_path, blob):
    (tmp_path / "net.caffemodel").write_bytes(net(blob))
    with pytest.raises(UserError, match="layer conv"):
        read_caffemodel(tmp_path / "net.caffemodel")


def test_files_of_other_kinds_are_errors(tmp_path):
    for content in (b"", b"text", field(1, b"only a name"), CURRENT.read_bytes()[:-100]):
        (tmp_path / "net.caffemodel").write_bytes(content)
        with pytest.raises(UserError, match="damaged or no caffemodel"):
            read_caffemodel(tmp_path / "net.caffemodel")


def test_dimensions_without_end_and_layers_twice_are_errors(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net(shape(*[1] * 65) + field(5, VALUES.tobytes()[:4])))
    with pytest.raises(UserError, match="65 dimensions"):
        read_caffemodel(path)
    path.write_bytes(net(shape(3) + field(5, VALUES.tobytes())) * 2)
    with pytest.raises(UserError, match="two layers named conv"):
        read_caffemodel(path)


EMPTY_LAYER, EMPTY_LEGACY, EMPTY_BLOB = field(100, b""), field(2, b""), field(7, b"")
GROUP = varint(9 << 3 | 3)
MANY = 3_000_000
BOMBS = {
    "layers": EMPTY_LAYER * MANY,
    "legacy layers": EMPTY_LEGACY * MANY,
    "blobs": field(100, field(1, b"conv") + EMPTY_BLOB * MANY),
    "dims": net(field(7, field(1, b"\1" * MANY))),
    "dims that are not packed": net(field(7, b"\x08\1" * MANY)),
    "shapes": net(EMPTY_BLOB * MANY),
    "names": field(100, field(1, b"") * MANY),
    "unknown": b"\x08\1" * MANY,
    "groups": net(GROUP * MANY),
    "pieces": net(shape(3) + field(5, b"") * MANY),
    "alternating": net(shape(3) + (UNPACKED[:5] + UNPACKED_DOUBLE[:9]) * (MANY // 10)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_fields_without_end_are_refused(tmp_path, bomb):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(BOMBS[bomb])
    with pytest.raises(UserError, match=r"net.caffemodel.*(more than 100,000 fields|of kind 3)"):
        read_caffemodel(path)


def test_layers_that_are_empty_take_little_memory(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(BOMBS["layers"])
    tracemalloc.start()
    with pytest.raises(UserError):
        read_caffemodel(path)
    assert tracemalloc.get_traced_memory()[1] < 2 * path.stat().st_size + (50 << 20)
    tracemalloc.stop()


def test_numbers_that_are_not_packed_take_no_more_than_their_bytes(tmp_path):
    values = np.arange(2_000_000, dtype="<f4")
    fields = np.empty(len(values), [("tag", "u1"), ("value", "<f4")])
    fields["tag"], fields["value"] = 5 << 3 | 5, values
    diff = fields.copy()
    diff["tag"] = 6 << 3 | 5
    path = tmp_path / "net.caffemodel"
    path.write_bytes(
        net(fields.tobytes()[:500] + diff.tobytes() + fields.tobytes()[500:] + shape(len(values)))
    )
    tracemalloc.start()
    np.testing.assert_array_equal(read_caffemodel(path)["conv"][0], values)
    assert tracemalloc.get_traced_memory()[1] < 4 * path.stat().st_size
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 11,
        b"\xff",
        varint(100 << 3 | 2),
        b"\x00\x00",
        field(100, b"\x2d\0"),
        varint(100 << 3) + b"\1",
    ],
)
def test_damage_on_the_wire_is_an_error(tmp_path, content):
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(UserError, match="damaged or no caffemodel"):
        read_caffemodel(tmp_path / "net.caffemodel")
