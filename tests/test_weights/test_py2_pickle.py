import pickle
import tracemalloc

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


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_today(tmp_path, protocol):
    arrays = {
        "a": np.arange(600, dtype=np.float32).reshape(20, 30),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.arange(8, dtype=np.float32)[::2],
        "many": np.arange(300, dtype=np.float32),
    }
    tensors = read_pickle(write(tmp_path / "a", arrays, protocol))
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors[name], array)


ARRAY = b"cnumpy\nndarray\n)R"
TYPE = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
F2 = TYPE.replace(b"f4", b"f2")
DOUBLED = b")" + b"2\x86" * 60  # () and then pairs of pairs: 2^60 things to look at
MEMOISED = b")q\x00" + b"h\x00h\x00h\x00\x87q\x00" * 60


@pytest.mark.parametrize("nest", [DOUBLED, MEMOISED])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"}(", b"K\x01d."),  # the opcode DICT takes keys too
        (b"}U\x01acnumpy\ndtype\n(", b"K\x00K\x01tRs."),  # the name of a type
        (b"}U\x01a" + TYPE + b"(K\x03", b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbs."),
        (b"}U\x01a" + ARRAY + b"(K\x01", TYPE + b"\x89U\x00tbs."),  # a shape
        (b"}U\x01a" + ARRAY + b"(K\x01(K\x01", b"t" + TYPE + b"\x89U\x00tbs."),  # a size
        (b"}U\x01a" + ARRAY + b"(K\x01)" + TYPE + b"\x89", b"tbs."),  # the content
        (b"}U\x01a" + ARRAY + b"(K\x01)" + TYPE, b"U\x00tbs."),  # the order
        (b"}U\x01a" + ARRAY, b"bs."),  # the state
        (b"", b"(\x93."),
        (b"c_codecs\nencode\n(", b"U\x06latin1tR."),
        (b"c_codecs\nencode\n(U\x01a", b"tRI5\nI6\nR."),
    ],
)
def test_nested_tuples_are_never_walked(tmp_path, nest, before, after):
    with pytest.raises(UserError) as raised:
        read_pickle(write(tmp_path / "a", b"\x80\x02" + before + nest + after))
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "function", [b"c_codecs\nencode\n", b"cnumpy._core.multiarray\n_reconstruct\n"]
)
@pytest.mark.parametrize("state", [b"}U\x0b__wrapped__K\x05s", b"N}U\x08__name__U\x01xs\x86"])
def test_functions_of_ours_take_no_attributes(tmp_path, function, state):
    with pytest.raises(UserError, match="gives a state to what has none"):
        read_pickle(write(tmp_path / "a", b"\x80\x02" + function + state + b"b."))


def test_what_is_allocated_is_bounded_by_the_file(tmp_path):
    text = b"T" + (1 << 20).to_bytes(4, "little") + b"x" * (1 << 20) + b"q\x00"
    encode = b"c_codecs\nencode\nq\x01"
    encoded = b"".join(b"h\x01h\x00U\x06latin1\x86R" for _ in range(20_000))
    shared = b"}(" + b"".join(
        b"U\x05%05d" % n + ARRAY + b"(K\x01J\x00\x00\x08\x00\x85" + F2 + b"\x89h\x00tb"
        for n in range(20_000)
    )
    with_limit = {
        "claimed": b"\x80\x05\x96" + (5 << 30).to_bytes(8, "little") + b".",
        "encoded": b"\x80\x02" + text + encode + b"(" + encoded + b"l.",
        "shared": b"\x80\x02" + text + shared + b"u.",
        "empty": b"\x80\x02" + b"}" * 30_000_000 + b".",
    }
    for name, content in with_limit.items():
        tracemalloc.start()
        with pytest.raises(UserError, match="damaged pickle"):
            read_pickle(write(tmp_path / name, content))
        assert tracemalloc.get_traced_memory()[1] < 10 * len(content) + (100 << 20)
        tracemalloc.stop()
