import h5py
import keras
import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights import foreign, keras_vgg16
from deeplab_lfov.weights.conversion import TRUNK
from deeplab_lfov.weights.matching import match_layers
from helpers import keras_vgg16_network


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("layout", ["net.h5", "net.weights.h5", "net.keras"])
def test_both_layouts_in_the_networks_order(tmp_path, top, layout):
    model = keras_vgg16_network(top)
    save = model.save_weights if layout == "net.weights.h5" else model.save
    save(tmp_path / layout)
    read = dict(keras_vgg16.read_h5(tmp_path / layout))
    match = match_layers(read, "x", "graph" if layout == "net.h5" else "names")
    expected = [layer.get_weights() for layer in model.layers if layer.get_weights()]
    assert list(match.layers) == [*TRUNK, "fc6", "fc7"][: 15 if top else 13]
    for (kernel, bias), (weight, also_bias) in zip(expected, match.layers.values(), strict=False):
        np.testing.assert_array_equal(bias, also_bias)
        if kernel.ndim == 2:  # inputs by row, column and channel
            side = 7 if len(kernel) == 49 * 32 else 1
            kernel = kernel.reshape(side, side, -1, kernel.shape[1])
            weight = weight.reshape(weight.shape[0], -1, side, side)
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), weight)


def test_the_layout_of_the_published_file(tmp_path):
    """As in vgg16_weights_tf_dim_ordering_tf_kernels.h5: names in bytes, empty pooling groups."""
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = [b"block1_conv1", b"block1_pool"]
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = [b"block1_conv1_W_1:0", b"block1_conv1_b_1:0"]
        group["block1_conv1_W_1:0"], group["block1_conv1_b_1:0"] = np.ones((3, 3, 3, 4)), np.ones(4)
        file.create_group("block1_pool").attrs["weight_names"] = np.array([], "S1")
    shapes = {name: tensor.shape for name, tensor in keras_vgg16.read_h5(tmp_path / "net.h5")}
    assert shapes == {"block1_conv1/W": (3, 3, 3, 4), "block1_conv1/b": (4,)}
    with h5py.File(tmp_path / "net.h5", "a") as file:  # as keras-hub's
        file.attrs["model_config"] = '{"class_name": "VGGBackbone", "config": {}}'
    assert next(iter(keras_vgg16.read_h5(tmp_path / "net.h5")))[0] == "VGGBackbone/block1_conv1/W"


def test_other_files_are_errors(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(UserError, match="text.h5 is damaged or of another kind"):
        foreign.read(keras_vgg16.read_h5, tmp_path / "text.h5")


def test_a_failed_download_is_a_users_error(monkeypatch):
    def fail(weights):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(UserError, match="URL fetch failure"):
        keras_vgg16.download()


def test_a_dataset_that_was_never_written_is_not_allocated(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (400_000_000,), "f4", chunks=(1000,))
    with pytest.raises(ValueError, match="said to be larger than what is there"):
        list(keras_vgg16.read_h5(tmp_path / "net.h5"))


@pytest.fixture
def h5(tmp_path):
    """A new HDF5 file of one layer, whose `vars/0` the test makes; and its path."""
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        yield file.create_group("layers/conv2d/vars"), path


def refuse(path, words):
    """Expect an error that says the words."""
    with pytest.raises(ValueError, match=words):
        list(keras_vgg16.read_h5(path))


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


def test_soft_links_inside_the_file_are_followed(h5, other):
    variables, path = h5
    root = variables.file
    root["kernel"], variables["0"] = np.ones(3, "f4"), h5py.SoftLink("/near")
    root["near"] = h5py.SoftLink("kernel")
    root.flush()
    ((_, values),) = keras_vgg16.read_h5(path)
    np.testing.assert_array_equal(values, np.ones(3))
    root["far"] = h5py.ExternalLink(other, "/a")
    del root["near"]
    root["near"] = h5py.SoftLink("/far")
    root.close()
    refuse(path, "far is a link to another file")


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


def test_packed_weights_are_read(h5):
    variables, path = h5
    values = np.random.default_rng(0).standard_normal((30, 40)).astype("f4")
    variables.create_dataset("0", data=values, chunks=(7, 9), compression="gzip", shuffle=True)
    variables.create_dataset("1", data=np.zeros(5000, "f4"), compression="gzip")
    variables.create_dataset("2", data=values, chunks=(7, 9))
    variables.file.close()
    (_, kernel), (_, bias), (_, plain) = keras_vgg16.read_h5(path)
    np.testing.assert_array_equal(kernel, values)
    np.testing.assert_array_equal(plain, values)
    assert bias.shape == (5000,) and not bias.any()
