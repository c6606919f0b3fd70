"""SBD's masks, against scipy's reader; and .mat files made to harm."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from deeplab_lfov import UserError
from helpers import under_memory_limit
from util.sbd_masks import read_sbd_labels

LABELS = np.array([[3, 3, 0], [3, 0, 20]], np.uint8)
COLUMNS = LABELS.tobytes("F")
HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"


def element(kind, body):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def packed(content):
    content = zlib.compress(content)
    return struct.pack("<II", 15, len(content)) + content  # these alone are not padded


def matrix(array_class, sides, name, *parts):
    head = element(6, struct.pack("<II", array_class, 0))
    head += element(5, struct.pack(f"<{len(sides)}i", *sides)) + element(1, name)
    return element(14, head + b"".join(parts))


def struct_of(field, value, name=b"GTcls", width=32):
    names = element(5, struct.pack("<i", width)) + element(1, field.ljust(width, b"\0"))
    return matrix(2, (1, 1), name, names, value)


def write(path, *elements):
    path.write_bytes(HEAD + b"".join(elements))
    return path


def numbers(sides=(2, 3), content=COLUMNS, array_class=9, kind=2):
    return matrix(array_class, sides, b"", element(kind, content))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, np.bool_])
@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (1, 3), (40, 30)])
def test_labels_are_those_that_scipy_reads(tmp_path, compressed, dtype, shape):
    labels = np.resize(LABELS, shape).astype(dtype)
    cells = np.empty((20, 1), object)
    for number in range(20):
        cells[number, 0] = scipy.sparse.csc_matrix(np.eye(3) * number)
    truth = {"Boundaries": cells, "Segmentation": labels, "CategoriesPresent": np.array([[3]])}
    path = tmp_path / "a.mat"
    content = {"other": np.zeros((3, 3)), "GTcls": truth}
    scipy.io.savemat(path, content, do_compression=compressed)
    scipys = scipy.io.loadmat(path, struct_as_record=False)["GTcls"][0, 0].Segmentation
    np.testing.assert_array_equal(read_sbd_labels(path), scipys)
    assert read_sbd_labels(path).dtype == np.uint8


def test_the_helpers_of_this_file_make_masks(tmp_path):
    path = write(tmp_path / "a.mat", struct_of(b"Segmentation", numbers()))
    np.testing.assert_array_equal(read_sbd_labels(path), LABELS)


def nested(depth):
    value = b""
    for _ in range(depth):
        value = matrix(1, (1, 1), b"", value)  # a cell in a cell
    return value


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([struct_of(b"Segmentation", numbers((0, 0), b""))], r"its sides are \(0, 0\)"),
        ([struct_of(b"Segmentation", numbers((1, 2, 3)))], r"its sides are \(1, 2, 3\)"),
        ([struct_of(b"Segmentation", numbers(content=b"\xff" * 6))], "go up to 255"),
        ([struct_of(b"Segmentation", numbers((2**31 - 1, 2**31 - 1)))], "6 numbers for sides"),
        ([struct_of(b"Segmentation", numbers((-2, -3)))], "damaged"),
        ([struct_of(b"Segmentation", numbers((-1, 6)))], "6 numbers for sides"),
        ([struct_of(b"Segmentation", numbers(array_class=1))], "holds no numbers"),
        ([struct_of(b"Segmentation", numbers(array_class=16))], "holds no numbers"),  # a function
        ([struct_of(b"Segmentation", numbers(kind=14))], "damaged"),
        ([struct_of(b"Segmentation", nested(1000))], "holds no numbers"),
        ([struct_of(b"Other", nested(1000))], "damaged .*Segmentation"),
        ([struct_of(b"Segmentation", numbers(), width=-32)], "damaged"),
        ([struct_of(b"a" * 2000, numbers(), width=1)], "or thousands"),
        ([struct_of(b"Segmentation", numbers(), name=b"other")], "no GTcls"),
        ([struct_of(b"Segmentation", numbers())[:-9]], "ends early"),
        ([struct.pack("<II", 14, 2**32 - 8)], "ends early"),
        ([element(15, b"no zlib")], "damaged"),
        ([element(15, zlib.compress(bytes(1 << 25), 9))], "unpacks to over 16,777,216 bytes"),
        ([packed(element(1, bytes(1 << 22)))] * 4, "over 16,777,216 bytes"),
        ([], "no GTcls"),
    ],
)
def test_other_files_are_refused(tmp_path, elements, message):
    path = write(tmp_path / "a.mat", *elements)
    with pytest.raises(UserError, match=f"{path} is .*{message}") as error:
        read_sbd_labels(path)
    assert error.value.path == path


def test_a_bomb_takes_no_memory(tmp_path):
    """A hundred kilobytes that unpack to a hundred megabytes, and that within a gigabyte."""
    bomb = zlib.compress(bytes(100 << 20), 9)
    path = write(tmp_path / "a.mat", element(15, bomb))
    code = """
        import sys
        from pathlib import Path
        from deeplab_lfov import UserError
        from util.sbd_masks import read_sbd_labels
        import resource
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_sbd_labels(Path(sys.argv[1]))
        except UserError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000)
    """
    error, small = under_memory_limit(2, code, path).splitlines()
    assert "unpacks to over" in error and small == "True"


def test_a_file_too_large(tmp_path):
    path = tmp_path / "a.mat"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(UserError, match="a.mat has 16,777,217 bytes"):
        read_sbd_labels(path)
