import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights import conversion
from deeplab_lfov.weights.formats import read_match
from helpers import DATA


@pytest.fixture
def vgg16():
    return read_match(DATA / "vgg16_narrow_v1.caffemodel").layers


def by_name(rows):
    return {row.name: row.tensor for row in rows}


def test_vgg16_is_cut_down_by_the_reproducible_decimation(vgg16):
    assert conversion.is_vgg16(vgg16)
    tensors = by_name(conversion.from_caffe_vgg16(vgg16))
    fc6, fc7 = vgg16["fc6"][0].reshape(256, 32, 7, 7), vgg16["fc7"][0]
    assert tensors["fc6/w"].shape == (3, 3, 32, 64) and tensors["fc7/w"].shape == (1, 1, 64, 64)
    assert tensors["fc6/w"][1, 2, 5, 9] == fc6[36, 5, 3, 6]  # output 4*9, taps 3*1 and 3*2
    assert tensors["fc6/w"][0, 0, 31, 63] == fc6[252, 31, 0, 0]
    assert tensors["fc6/b"][9] == vgg16["fc6"][1][36]
    assert tensors["fc7/w"][0, 0, 3, 7] == fc7[28, 12]  # output 4*7, input 4*3
    assert tensors["conv2_1/w"][0, 2, 3, 7] == vgg16["conv2_1"][0][7, 3, 0, 2]
    assert not any(name.startswith("fc8") for name in tensors)


def test_fully_convolutional_vgg16_gives_the_same(vgg16):
    plain = by_name(conversion.from_caffe_vgg16(vgg16))
    vgg16["fc6"] = [vgg16["fc6"][0].reshape(256, 32, 7, 7), vgg16["fc6"][1].ravel()]
    vgg16["fc7"] = [vgg16["fc7"][0].reshape(256, 256, 1, 1), vgg16["fc7"][1].ravel()]
    assert conversion.is_vgg16(vgg16)
    for name, tensor in by_name(conversion.from_caffe_vgg16(vgg16)).items():
        np.testing.assert_array_equal(tensor, plain[name])


PIXEL = np.array([200.0, 30.0, 90.0])  # RGB
MEAN = np.array([104.00698793, 116.66876762, 122.67891434])  # BGR, of this network


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("torchvision", (PIXEL / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("rgb", PIXEL - [123.68, 116.779, 103.939]),
        ("caffe", PIXEL[::-1] - [103.939, 116.779, 123.68]),
    ],
)
def test_conv1_1_takes_up_how_images_were_prepared(name, seen):
    layers = {layer: [np.ones((1, 1, 1, 1)), np.ones(1)] for layer in conversion.TRUNK}
    layers["conv1_1"] = [np.array([1.0, 2.0, 5.0]).reshape(1, 3, 1, 1), np.array([0.5])]
    folded = conversion.folded(layers, name)
    ours = folded["conv1_1"][0][0, :, 0, 0] @ (PIXEL[::-1] - MEAN) + folded["conv1_1"][1][0]
    factor = folded["conv1_1"][1][0] and np.prod(
        [folded[n][0].item() for n in conversion.TRUNK[1:]]
    )
    np.testing.assert_allclose(ours * factor, seen @ [1, 2, 5] + 0.5, rtol=1e-5)


def sources(*names):
    return dict(zip(conversion.TRUNK, names, strict=True))


TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
WITH_NORMS = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
LAYERS = {"conv1_1": [np.zeros((4, 3, 3, 3)), np.zeros(4)]}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (conversion.TRUNK, "caffe"),
        ([f"features.{n}" for n in TORCHVISION], "torchvision"),
        ([f"features.{n}" for n in WITH_NORMS], "torchvision"),
        ([f"block{name[4]}_conv{name[6]}" for name in conversion.TRUNK], "caffe"),
        ([f"vgg_16/conv{name[4]}/{name}" for name in conversion.TRUNK], "rgb"),
    ],
)
def test_names_of_known_programs_tell_the_images(names, expected):
    assert conversion.input_of(sources(*names), LAYERS, "x")[0] == expected


@pytest.mark.parametrize("form", ["{}", "features_{}", "model.features.{}", "features.{}.conv"])
def test_names_of_others_are_asked_about(form):
    names = [form.format(n) for n in TORCHVISION]
    with pytest.raises(UserError, match=r"which images .*--input caffe .*--input torchvision"):
        conversion.input_of(sources(*names), LAYERS, "x")


@pytest.mark.parametrize(("order", "likely"), [([0, 1, 2], "caffe"), ([2, 1, 0], "rgb")])
def test_published_filters_are_known(order, likely):
    weight = np.zeros((4, 3, 3, 3))
    weight[0, :, 0, 0] = np.array([0.42947, 0.55038, 0.48002])[order]
    with pytest.raises(UserError, match=f"so most likely {likely}"):
        conversion.input_of(sources(*"abcdefghijklm"), {"conv1_1": [weight, np.zeros(4)]}, "x")


def test_the_last_layer_may_have_any_fc8_name(tmp_path):
    content = (DATA / "caffe_narrow.caffemodel").read_bytes()
    (tmp_path / "net").write_bytes(content.replace(b"fc8_voc12", b"fc8_other"))
    renamed = by_name(conversion.from_caffe(read_match(tmp_path / "net").layers))
    layers = read_match(DATA / "caffe_narrow.caffemodel").layers
    np.testing.assert_array_equal(renamed["fc8_voc12/w"], layers["fc8"][0].transpose(2, 3, 1, 0))


def test_prototxt_describes_the_network_in_caffes_words():
    text = conversion.deploy_prototxt()
    assert text.count("type: ") == 16 and text.count("{") == text.count("}")
    fc6 = next(line for line in text.splitlines() if 'name: "fc6"' in line)
    assert 'bottom: "conv5_3"' in fc6 and "num_output: 1024 kernel_size: 3 pad: 1 " in fc6
