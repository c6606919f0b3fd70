import pickle

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.py2_pickle import read_pickle
from helpers import DATA


def write(path, content, protocol=2):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def test_the_first_versions_file(reference_model):
    tensors = read_pickle(DATA / "py2_net_weights.ckpt")
    assert set(tensors) == set(reference_model.parameters)
    for name, parameter in reference_model.parameters.items():
        np.testing.assert_array_equal(tensors[name], parameter, name)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_layouts_and_types_of_arrays(tmp_path, order, dtype):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order)
    pickled = pickle.dumps({"a": array}, 2).replace(b"numpy._core", b"numpy.core")
    tensor = read_pickle(write(tmp_path / "a", pickled))["a"]
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, array)


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_nothing_is_called(tmp_path, capsys):
    with pytest.raises(UserError, match="print, which no weights need"):
        read_pickle(write(tmp_path / "a", {"a": Evil()}))
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02T\xff\xff\xff\x7f.",  # a string of 2 GB
        {"a": 3},
        [1, 2],
        {"a": np.array(["text"])},
        {"a": np.array([{}])},
    ],
)
def test_anything_else_is_an_error(tmp_path, content):
    with pytest.raises(UserError, match=str(tmp_path)):
        read_pickle(write(tmp_path / "a", content))


def test_a_memo_of_four_billion_entries_takes_no_memory(tmp_path):
    assert read_pickle(write(tmp_path / "a", b"\x80\x02}r\xff\xff\xff\xff.")) == {}


def test_shapes_that_lie_allocate_nothing(tmp_path):
    pickled = pickle.dumps({"a": np.zeros((3, 4), np.float32)}, 2)
    small, huge = b"K\x03K\x04\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"
    assert pickled.count(small) == 1
    with pytest.raises(UserError, match="has 48 bytes"):
        read_pickle(write(tmp_path / "a", pickled.replace(small, huge)))


def test_a_skeleton_gets_a_hint():
    with pytest.raises(UserError, match="take the net_weights beside it"):
        read_pickle(DATA / "py2_net_skeleton.ckpt")


@pytest.mark.parametrize("nest", [b"2\x86" * 60, b"\x85" * 100_000])
def test_nested_tuples_as_keys_take_neither_time_nor_stack(tmp_path, nest):
    for start, end in ((b"", b"K\x01s."), (b"(", b"K\x01u.")):
        with pytest.raises(UserError, match="a key is no text"):
            read_pickle(write(tmp_path / "a", b"\x80\x02}" + start + b")" + nest + end))
