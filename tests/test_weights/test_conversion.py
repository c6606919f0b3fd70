import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights import conversion
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer
from helpers import DATA


@pytest.fixture
def vgg16():
    return by_layer(read_caffemodel(DATA / "vgg16_narrow_v1.caffemodel"))


def by_name(rows):
    return {row.name: row.tensor for row in rows}


def keras_layers(vgg16, top):
    """The same VGG-16 in Keras' layout: HWIO, the top's inputs by row, column, channel."""
    layers = {}
    for name, (weights, bias) in vgg16.items():
        if name.startswith("conv"):
            layers[f"block{name[4:]}"] = [weights.transpose(2, 3, 1, 0), bias.ravel()]
    if top:
        fc6 = vgg16["fc6"][0].reshape(256, 32, 7, 7).transpose(2, 3, 1, 0).reshape(-1, 256)
        layers["fc1"] = [fc6, vgg16["fc6"][1].ravel()]
        layers["fc2"] = [vgg16["fc7"][0][0, 0].T, vgg16["fc7"][1].ravel()]
        layers["predictions"] = [vgg16["fc8"][0][0, 0].T, vgg16["fc8"][1].ravel()]
    return layers


def test_vgg16_is_cut_down_by_the_reproducible_decimation(vgg16):
    assert conversion.is_vgg16(vgg16)
    tensors = by_name(conversion.from_caffe_vgg16(vgg16, "x"))
    fc6, fc7 = vgg16["fc6"][0].reshape(256, 32, 7, 7), vgg16["fc7"][0][0, 0]
    assert tensors["fc6/w"].shape == (3, 3, 32, 64) and tensors["fc7/w"].shape == (1, 1, 64, 64)
    assert tensors["fc6/w"][1, 2, 5, 9] == fc6[36, 5, 3, 6]  # output 4*9, taps 3*1 and 3*2
    assert tensors["fc6/w"][0, 0, 31, 63] == fc6[252, 31, 0, 0]
    assert tensors["fc6/b"][9] == vgg16["fc6"][1][0, 0, 0, 36]
    assert tensors["fc7/w"][0, 0, 3, 7] == fc7[28, 12]  # output 4*7, input 4*3
    assert tensors["conv2_1/w"][0, 2, 3, 7] == vgg16["conv2_1"][0][7, 3, 0, 2]
    assert not any(name.startswith("fc8") for name in tensors)


def test_fully_convolutional_vgg16_gives_the_same(vgg16):
    plain = by_name(conversion.from_caffe_vgg16(vgg16, "x"))
    vgg16["fc6"] = [vgg16["fc6"][0].reshape(256, 32, 7, 7), vgg16["fc6"][1].ravel()]
    vgg16["fc7"] = [vgg16["fc7"][0].reshape(256, 256, 1, 1), vgg16["fc7"][1].ravel()]
    assert conversion.is_vgg16(vgg16)
    for name, tensor in by_name(conversion.from_caffe_vgg16(vgg16, "x")).items():
        np.testing.assert_array_equal(tensor, plain[name])


def test_keras_gives_what_caffe_gives(vgg16):
    expected = by_name(conversion.from_caffe_vgg16(vgg16, "x"))
    rows = conversion.from_keras_vgg16(keras_layers(vgg16, top=True), "x")
    assert {row.name for row in rows} == set(expected)
    for row in rows:
        np.testing.assert_array_equal(row.tensor, expected[row.name], row.name)
    fc7 = next(row for row in rows if row.name == "fc7/w")
    assert (fc7.source, fc7.source_shape) == ("fc2/w", (256, 256))
    without_top = by_name(conversion.from_keras_vgg16(keras_layers(vgg16, top=False), "x"))
    assert set(without_top) == {name for name in expected if name.startswith("conv")}


def test_other_networks_are_no_vgg16(vgg16):
    layers = keras_layers(vgg16, top=True)
    layers["fc1"][0] = layers["fc1"][0][:-1]
    with pytest.raises(UserError, match="no VGG-16"):
        conversion.from_keras_vgg16(layers, "x")
    with pytest.raises(UserError, match="weights of 1 layers"):
        conversion.from_keras_vgg16({"dense": [np.zeros((1, 1)), np.zeros(1)]}, "x")
    fc6 = [vgg16["fc6"][0][..., :-1], vgg16["fc6"][1]]
    lacking = [{n: b for n, b in vgg16.items() if n != name} for name in ("fc7", "conv5_3")]
    for layers in (*lacking, vgg16 | {"fc6": fc6}):
        with pytest.raises(UserError, match="no VGG-16"):
            conversion.from_caffe_vgg16(layers, "x")


def test_the_last_layer_may_have_any_fc8_name():
    layers = by_layer(read_caffemodel(DATA / "caffe_narrow.caffemodel"))
    head = layers.pop("fc8_voc12")
    tensors = by_name(conversion.from_caffe(layers | {"fc8_mine": head}, "x"))
    np.testing.assert_array_equal(tensors["fc8_voc12/w"], head[0].transpose(2, 3, 1, 0))
    with pytest.raises(UserError, match="several last layers: fc8_a, fc8_b"):
        conversion.from_caffe(layers | {"fc8_a": head, "fc8_b": head}, "x")


def test_prototxt_describes_the_network_in_caffes_words():
    text = conversion.deploy_prototxt()
    assert text.count("type: ") == 16 and text.count("{") == text.count("}")
    fc6 = next(line for line in text.splitlines() if 'name: "fc6"' in line)
    assert 'bottom: "conv5_3"' in fc6 and "num_output: 1024 kernel_size: 3 pad: 1 " in fc6
