import numpy as np
import pytest

from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer
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
LEGACY_SHAPE = b"".join(varint(tag << 3) + varint(dim) for tag, dim in enumerate((1, 1, 1, 3), 1))


def test_current_and_legacy_format_hold_the_same():
    current, legacy = by_layer(read_caffemodel(CURRENT)), by_layer(read_caffemodel(LEGACY))
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
    ((name, values),) = read_caffemodel(path)
    assert name == "conv" and values.shape == expected_shape and values.dtype == np.float32
    np.testing.assert_array_equal(values.ravel(), VALUES)


@pytest.mark.parametrize("dims", [[4], [1 << 40, 1 << 40], [(1 << 64) - 3], [0, 3]])
def test_blobs_whose_shape_lies_are_errors(tmp_path, dims):
    (tmp_path / "net.caffemodel").write_bytes(net(shape(*dims) + field(5, VALUES.tobytes())))
    with pytest.raises(ValueError, match="layer conv: a blob of .* another number of values"):
        list(read_caffemodel(tmp_path / "net.caffemodel"))


def test_a_file_without_weights_is_an_error(tmp_path):
    (tmp_path / "net.caffemodel").write_bytes(field(1, b"only a name"))
    with pytest.raises(ValueError, match="no layer in it has weights"):
        list(read_caffemodel(tmp_path / "net.caffemodel"))
