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
