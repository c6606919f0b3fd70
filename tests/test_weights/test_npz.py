import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.npz import read_npz

HEAD = b"\x93NUMPY\x01\x00\x76\x00"
ZEROS = 80 << 20


def npy(size, descr=b"'|u1'"):
    text = b"{'descr': %s, 'fortran_order': False, 'shape': (%d,), }" % (descr, size)
    return HEAD + text.ljust(117) + b"\n"


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def with_claim(path, size):
    """Let the tables of a zip of one member say that it unpacks to `size` bytes."""
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", content, content.index(signature) + place, size)
    path.write_bytes(content)
    return path


def refuse(path, words, most=64 << 20):
    """Expect an error that says the words, and no more memory than `most`."""
    tracemalloc.start()
    with pytest.raises(UserError, match=words):
        read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < most
    tracemalloc.stop()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
    arrays = {"a/w": np.arange(6.0).reshape(2, 3), "zeros": np.zeros(1_000_000), "n": np.array(3)}
    arrays |= {
        "text": np.array(["one", "two"]),
        "bytes": np.array([b"x"]),
        "none": np.zeros((0, 2)),
    }
    save(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("claim", [None, 200])
def test_methods_without_a_limit_are_refused(tmp_path, method, claim):
    path = archive(tmp_path / "x.npz", [("a.npy", bytes(ZEROS))], method)
    refuse(with_claim(path, claim) if claim else path, "a is packed in a way")


@pytest.mark.parametrize("claim", [200, 3 << 30])
def test_a_deflated_member_unpacks_to_no_more_than_it_says(tmp_path, claim):
    content = npy(ZEROS) + bytes(ZEROS)
    path = archive(tmp_path / "x.npz", [("a.npy", content)], zipfile.ZIP_DEFLATED)
    refuse(with_claim(path, claim), r"x.npz is damaged")


def test_encrypted_members_are_refused(tmp_path):
    path = archive(tmp_path / "x.npz", [("a.npy", npy(3) + b"abc")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refuse(path, "a is encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.npy", "a.npy"), ("a.npy", "a")])
def test_a_name_comes_once(tmp_path, names):
    path = archive(tmp_path / "x.npz", [(name, npy(1) + b"x") for name in names])
    refuse(path, "two arrays a")


def test_members_without_end_are_refused(tmp_path):
    path = archive(tmp_path / "x.npz", [("a.npy", npy(1) + b"x")])
    content = path.read_bytes()
    entry = content[content.index(b"PK\x01\x02") : content.index(b"PK\x05\x06")]
    for count, words in ((50_000, "10,000 arrays"), (500_000, "table of members")):
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, count * len(entry), 129 + 35, 0)
        (tmp_path / "many.npz").write_bytes(content[: 129 + 35] + entry * count + end)
        refuse(tmp_path / "many.npz", words)


@pytest.mark.parametrize(
    "descr", [b"'|O'", b"[('a', '<f4')]", b"'(1000000,)u1'", b"'V1'", b"'<c8'", b"'|S0'"]
)
def test_arrays_of_anything_but_numbers_and_text_are_refused(tmp_path, descr):
    refuse(archive(tmp_path / "x.npz", [("a.npy", npy(0, descr))]), "x.npz is damaged")
