import tracemalloc
import zlib

import h5py
import keras
import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights import keras_vgg16
from helpers import keras_vgg16_network


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("layout", ["net.h5", "net.weights.h5"])
def test_both_layouts_in_the_networks_order(tmp_path, top, layout):
    model = keras_vgg16_network(top)
    save = model.save_weights if layout == "net.weights.h5" else model.save
    save(tmp_path / layout)
    layers = keras_vgg16.read_h5(tmp_path / layout)
    expected = [layer.get_weights() for layer in model.layers if layer.get_weights()]
    assert len(layers) == len(expected) == (16 if top else 13)
    for weights, found in zip(expected, layers.values(), strict=True):
        for one, two in zip(weights, found, strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_layout_of_the_published_file(tmp_path):
    """As in vgg16_weights_tf_dim_ordering_tf_kernels.h5: names in bytes, empty pooling groups."""
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = [b"block1_conv1", b"block1_pool"]
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = [b"block1_conv1_W_1:0", b"block1_conv1_b_1:0"]
        group["block1_conv1_W_1:0"], group["block1_conv1_b_1:0"] = np.ones((3, 3, 3, 4)), np.ones(4)
        file.create_group("block1_pool").attrs["weight_names"] = np.array([], "S1")
    layers = keras_vgg16.read_h5(tmp_path / "net.h5")
    assert {name: [w.shape for w in weights] for name, weights in layers.items()} == {
        "block1_conv1": [(3, 3, 3, 4), (4,)]
    }


def test_other_files_are_errors(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.zeros(3)
    with h5py.File(tmp_path / "cut.h5", "w") as file:
        file["a"] = np.zeros(3000)
    content = (tmp_path / "cut.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[:500])
    for name in ("text.h5", "other.h5", "cut.h5", "missing.h5"):
        with pytest.raises(UserError, match=name):
            keras_vgg16.read_h5(tmp_path / name)


def test_a_failed_download_is_a_users_error(monkeypatch):
    def fail(weights):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(UserError, match="URL fetch failure"):
        keras_vgg16.download()


def test_a_dataset_that_was_never_written_is_not_allocated(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (400_000_000,), "f4", chunks=(1000,))
    with pytest.raises(UserError, match="0 are there"):
        keras_vgg16.read_h5(tmp_path / "net.h5")


@pytest.fixture
def h5(tmp_path):
    """A new HDF5 file of one layer, whose `vars/0` the test makes; and its path."""
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        yield file.create_group("layers/conv2d/vars"), path


def refuse(path, words):
    """Expect an error that says the words, and little memory."""
    tracemalloc.start()
    with pytest.raises(UserError, match=rf"net.h5 .*{words}"):
        keras_vgg16.read_h5(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.fixture
def other(tmp_path):
    """A file of someone else's, with weights in it."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.ones(3, "f4")
    return tmp_path / "other.h5"


@pytest.mark.parametrize("place", ["layers", "layers/conv2d", "layers/conv2d/vars/0"])
def test_links_to_other_files_are_not_followed(h5, other, place):
    variables, path = h5
    root = variables.file
    variables["0"] = np.ones(3)
    del root[place]
    root[place] = h5py.ExternalLink(other, "/a")
    root.close()
    refuse(path, "is a link to another file")


def test_soft_links_inside_the_file_are_followed_until_they_turn(h5, other):
    variables, path = h5
    root = variables.file
    root["kernel"], root["far"] = np.ones(3, "f4"), h5py.ExternalLink(other, "/a")
    variables["0"] = h5py.SoftLink("/near")
    root["near"] = h5py.SoftLink("kernel")
    root.flush()
    np.testing.assert_array_equal(keras_vgg16.read_h5(path)["conv2d"][0], np.ones(3))
    del root["near"]
    root["near"] = h5py.SoftLink("/far")
    root.flush()
    refuse(path, "is a link to another file")
    del root["near"]
    root["near"] = h5py.SoftLink("/layers/conv2d/vars/0")
    root.close()
    refuse(path, "links without end")


def test_bytes_in_other_files_are_not_read(h5, other):
    variables, path = h5
    (path.parent / "secret").write_bytes(bytes(400))
    storage = [(str(path.parent / "secret"), 0, h5py.h5f.UNLIMITED)]
    variables.create_dataset("0", (100,), "f4", external=storage)
    variables.file.flush()
    refuse(path, "is stored in another file")
    del variables["0"]
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(other, "a", (3,))
    variables.create_virtual_dataset("0", layout)
    variables.file.close()
    refuse(path, "is stored in another file")


@pytest.mark.parametrize(
    "dtype",
    ["i4", "S10", [("a", "f4")], ("f4", (1000,)), h5py.vlen_dtype("f4"), h5py.string_dtype()]
    + [h5py.ref_dtype, h5py.enum_dtype({"a": 1}), h5py.opaque_dtype("V9"), "c8"],
)
def test_datasets_of_anything_but_floats_are_refused(h5, dtype):
    variables, path = h5
    variables.create_dataset("0", (3,), dtype)
    variables.file.close()
    refuse(path, "is not of floats")


def test_packed_weights_are_read(h5):
    variables, path = h5
    values = np.random.default_rng(0).standard_normal((30, 40)).astype("f4")
    variables.create_dataset("0", data=values, chunks=(7, 9), compression="gzip", shuffle=True)
    variables.create_dataset("1", data=np.zeros(5000, "f4"), compression="gzip")
    variables.create_dataset("2", data=values, chunks=(7, 9))
    variables.file.close()
    kernel, bias, plain = keras_vgg16.read_h5(path)["conv2d"]
    np.testing.assert_array_equal(kernel, values)
    np.testing.assert_array_equal(plain, values)
    assert bias.shape == (5000,) and not bias.any()


SIZE = 40_000_000  # numbers, 160 MB


def test_bombs_are_not_unpacked(h5):
    variables, path = h5
    kinds = {
        "many times larger": {"shape": (SIZE,), "chunks": (SIZE // 4,)},
        "said to be": {"shape": (1,), "chunks": (SIZE,), "maxshape": (None,)},
    }
    for words, kind in kinds.items():
        variables.create_dataset("0", dtype="f4", compression="gzip", fillvalue=0, **kind)
        variables["0"][:1] = 1
        if words == "many times larger":
            variables["0"][...] = 0
        variables.file.flush()
        refuse(path, "(many times larger|said to be)")
        del variables["0"]


@pytest.mark.parametrize("size", [100, 400])
def test_a_piece_unpacks_to_its_size_and_no_more(h5, size):
    variables, path = h5
    bomb = zlib.compress(bytes(60_000_000))
    variables.create_dataset("0", (size,), "f4", chunks=(size,), compression="gzip")
    variables["0"].id.write_direct_chunk((0,), bomb if size == 100 else zlib.compress(bytes(2000)))
    variables.file.close()
    refuse(path, "a piece of .* (longer|does not unpack to 1600 bytes)")


def test_one_dataset_under_many_names_counts_each_time(h5):
    variables, path = h5
    variables["0"] = np.ones(2_000_000, "f4")
    for number in range(1, 90):
        variables[str(number)] = variables["0"]
    variables.file.close()
    with pytest.raises(UserError, match="many times larger"):
        keras_vgg16.read_h5(path)


def test_pieces_count_as_finding_them_takes_time(h5):
    """A hundred names of one dataset of 5,000 pieces: a minute, for a megabyte of file."""
    variables, path = h5
    variables.create_dataset("0", data=np.ones(5000, "f4"), chunks=(1,))
    for number in range(1, 100):
        variables[str(number)] = variables["0"]
    variables.file.close()
    with pytest.raises(UserError, match="many times larger"):
        keras_vgg16.read_h5(path)


def test_rare_filters_and_groups_in_the_place_of_weights_are_refused(h5):
    variables, path = h5
    variables.create_dataset("0", data=np.ones(100), compression="lzf")
    variables.file.flush()
    refuse(path, "in a way other than gzip")
    del variables["0"]
    variables["0"] = variables
    variables.file.close()
    refuse(path, "is no dataset")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([b"a"] * 101, "no list of up to 100 names"),
        (np.array([b"a"] * 101), "no list of up to 100 names"),
        ([b"x" * 1001], "a name of more than 1000 bytes"),
        ([b"x" * (2 << 20)], "texts of more than"),
        (np.arange(3), "no list"),
        ([b"layers/conv2d"] * 2, "twice"),
    ],
)
def test_lists_of_names_are_bounded(h5, names, words):
    variables, path = h5
    variables["w"] = np.ones(3)
    variables.parent.attrs["weight_names"] = [b"vars/w"]
    variables.file.attrs["layer_names"] = names
    variables.file.close()
    refuse(path, words)


def test_a_group_with_many_entries_and_itself_is_refused(h5):
    variables, path = h5
    for number in range(101):
        variables.file["layers"][f"dense_{number}"] = variables.file["layers"]
    variables.file.close()
    refuse(path, "/layers has 102 entries")


def test_a_heap_that_does_not_end_is_refused(h5):
    variables, path = h5
    variables.file.attrs["layer_names"] = [b"one", b"two", b"three"]
    variables.file.close()
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # something free, of no size
    path.write_bytes(content)
    refuse(path, "list of texts in it is damaged")


def test_a_file_whose_numbers_are_narrow_is_refused(h5):
    variables, path = h5
    variables.file.close()
    content = bytearray(path.read_bytes())
    content[13] = 4
    path.write_bytes(content)
    refuse(path, "of a rare kind")
