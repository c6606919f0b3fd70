import json
import struct

import numpy as np
import pytest

from deeplab_lfov.weights.plain_arrays import read_npz, read_safetensors


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
    arrays = {"a/w": np.arange(6.0).reshape(2, 3), "zeros": np.zeros(1_000_000), "n": np.array(3)}
    arrays |= {
        "text": np.array(["one", "two"]),
        "bytes": np.array([b"x"]),
        "none": np.zeros((0, 2)),
    }
    save(tmp_path / "x.npz", **arrays)
    found = dict(read_npz(tmp_path / "x.npz"))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_objects_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}]))
    with pytest.raises(ValueError, match="allow_pickle"):
        list(read_npz(tmp_path / "x.npz"))


def write_safetensors(path, head, content=b""):
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + content)
    return path


@pytest.mark.parametrize(
    "head",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}},
        {"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}},
        {"a": 3},
        b"{\xff}",
    ],
)
def test_safetensors_that_lie_are_refused(tmp_path, head):
    path = write_safetensors(tmp_path / "x.safetensors", head, bytes(8))
    with pytest.raises((ValueError, KeyError, TypeError)):
        list(read_safetensors(path))


def test_safetensors_of_every_type(tmp_path):
    kinds = {"F64": "<f8", "F16": "<f2", "I64": "<i8", "U8": "u1", "BOOL": "?"}
    head, content = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype in kinds.items():
        values = np.array([1, 0, 1], dtype).tobytes()
        places = [len(content), len(content) + len(values)]
        head[name] = {"dtype": name, "shape": [3, 1], "data_offsets": places}
        content += values
    tensors = dict(read_safetensors(write_safetensors(tmp_path / "x", head, content)))
    assert set(tensors) == set(kinds)
    assert all(t.shape == (3, 1) and t.ravel().tolist() == [1, 0, 1] for t in tensors.values())
