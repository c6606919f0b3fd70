"""The first version's pickles; PyTorch's are in test_torch.py."""

import pickle

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.pickles import read_pickle
from helpers import DATA


def write(path, content, protocol=2):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def test_the_first_versions_file(reference_model):
    tensors = dict(read_pickle(DATA / "py2_net_weights.ckpt"))
    assert set(tensors) == set(reference_model.parameters)
    for name, parameter in reference_model.parameters.items():
        np.testing.assert_array_equal(tensors[name], parameter, name)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_layouts_and_types_of_arrays(tmp_path, order, dtype):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order)
    pickled = pickle.dumps({"a": array}, 2).replace(b"numpy._core", b"numpy.core")
    ((_, tensor),) = read_pickle(write(tmp_path / "a", pickled))
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, array)


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_name_that_is_not_on_the_list_is_not_called(tmp_path, capfd):
    path = write(tmp_path / "a", {"a": Evil()})
    with pytest.raises(UserError, match=r"a calls \w+\.print, which no weights need"):
        list(read_pickle(path))
    with pytest.raises(UserError, match=r"a calls \w+\.print, which no weights need"):
        read_tensors(path)
    assert "must not run" not in capfd.readouterr().out


def test_calls_that_are_allowed_are_not_made(tmp_path):
    """numpy.ndarray(3) stays a note, which is no array without content."""
    pickled = b"\x80\x02}X\x01\0\0\0acnumpy\nndarray\nK\x03\x85Rs."
    with pytest.raises(ValueError, match="not enough values to unpack"):
        list(read_pickle(write(tmp_path / "a", pickled)))


@pytest.mark.parametrize("content", [{"a": 3}, [1, 2]])
def test_anything_else_is_an_error(tmp_path, content):
    with pytest.raises(UserError, match=r"a is a pickle without weights; of two files"):
        list(read_pickle(write(tmp_path / "a", content)))


@pytest.mark.parametrize("array", [np.array(["text"]), np.arange(3)])
def test_arrays_of_anything_but_floats_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match="and not of floats"):
        list(read_pickle(write(tmp_path / "a", {"a": array})))


@pytest.mark.parametrize(
    ("key", "program"), [("blobs", "Detectron"), ("StructuredToParameterName@@", "Paddle")]
)
def test_pickles_of_other_programs_are_named(tmp_path, key, program):
    with pytest.raises(UserError, match=f"a is a pickle of {program}'s"):
        list(read_pickle(write(tmp_path / "a", {key: {"w": np.ones(3)}})))


def test_shapes_that_lie_are_refused(tmp_path):
    pickled = pickle.dumps({"a": np.zeros((3, 4), np.float32)}, 2)
    small, large = b"K\x03K\x04\x86", b"K\x04K\x04\x86"
    assert pickled.count(small) == 1
    with pytest.raises(ValueError, match="cannot reshape array of size 12"):
        list(read_pickle(write(tmp_path / "a", pickled.replace(small, large))))


def test_a_skeleton_gets_a_hint():
    with pytest.raises(UserError, match="take the net_weights"):
        read_tensors(DATA / "py2_net_skeleton.ckpt")


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_today(tmp_path, protocol):
    arrays = {
        "a": np.arange(600, dtype=np.float32).reshape(20, 30),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.arange(8, dtype=np.float32)[::2],
        "many": np.arange(300, dtype=np.float32),
    }
    tensors = dict(read_pickle(write(tmp_path / "a", arrays, protocol)))
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors[name], array)
