import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import DeepLabLFOVModel
from deeplab_lfov.network.layers import CONVOLUTIONS
from helpers import NARROW

FRESH = ("fc6", "fc7", "fc8_voc12")


def vgg_like(seed):
    """A narrow network whose conv5_3 gives up to 190 on a crop, as ImageNet's VGG-16 does."""
    model = DeepLabLFOVModel(num_classes=11, width=NARROW, dropout=0, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in CONVOLUTIONS[:13]:
        shape = model.parameters[f"{layer.name}/w"].shape
        he = np.sqrt(2 / np.prod(shape[:3]))
        model.parameters[f"{layer.name}/w"].assign(rng.normal(0, he, shape))
    images = rng.normal(0, 60, (2, 65, 65, 3)).astype(np.float32)
    largest = tf.reduce_max(dict(model.blobs(images))["conv5_3"])
    filters = model.parameters["conv1_1/w"]  # ReLUs pass a factor on
    filters.assign(filters * 190 / largest)
    return model, images, rng.integers(0, 11, (2, 65, 65, 1)).astype(np.uint8)


def ratio(model, images, labels):
    """Return the largest ratio of a gradient's norm to its filters', of conv3_1 to conv5_3."""
    names = [f"{layer.name}/w" for layer in CONVOLUTIONS[4:13]]
    filters = [model.parameters[name] for name in names]
    with tf.GradientTape() as tape:
        loss = model.loss(images, labels, training=True)
    gradients = tape.gradient(loss, filters)
    return max(float(tf.norm(g) / tf.norm(w)) for g, w in zip(gradients, filters, strict=True))


@pytest.mark.parametrize("seed", [0, 1])
def test_fresh_layers_leave_the_trained_ones_alive(seed):
    model, *batch = vgg_like(seed)
    before = ratio(model, *batch)
    model.start_afresh(FRESH, seed)
    assert ratio(model, *batch) < 0.1 < 1 < before  # Glorot's filters would replace the trained


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_filters_have_the_authors_deviation_at_the_full_width(width):
    model = DeepLabLFOVModel(width=width, seed=3)
    kept = model.parameters["conv5_3/w"].numpy()
    model.start_afresh(FRESH, 3)
    for name in FRESH:
        filters = model.parameters[f"{name}/w"].numpy()
        deviation = {"fc6": 0.005, "fc7": 0.005, "fc8_voc12": 0.01}[name]
        assert abs(filters.std() * width**0.5 / deviation - 1) < 0.03
        assert not model.parameters[f"{name}/b"].numpy().any()
    np.testing.assert_array_equal(model.parameters["conv5_3/w"], kept)


def test_only_the_layers_that_are_named_start_afresh():
    model = DeepLabLFOVModel(width=NARROW, seed=3)
    before = {name: parameter.numpy() for name, parameter in model.parameters.items()}
    model.start_afresh(["fc8_voc12"], 3)
    changed = [n for n, old in before.items() if (model.parameters[n].numpy() != old).any()]
    assert changed == ["fc8_voc12/w"]
