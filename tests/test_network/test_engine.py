import numpy as np
import tensorflow as tf

from deeplab_lfov.network import arithmetic, engine, filter_gradient
from deeplab_lfov.network.engine import Convolutions
from deeplab_lfov.network.layers import LAYERS
from deeplab_lfov.network.model import DeepLabLFOVModel


def test_winograd_is_for_wide_layers_of_3x3_in_float32(monkeypatch):
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: False)
    pays = engine.winograd_pays
    assert pays((3, 3, 128, 64), 2, tf.float32, training=False)
    assert pays((3, 3, 64, 64), 1, tf.float32, training=True)
    assert not pays((3, 3, 64, 64), 1, tf.float32, training=False)
    assert not pays((3, 3, 512, 1024), 12, tf.float32, training=True)
    assert not pays((1, 1, 512, 512), 1, tf.float32, training=True)
    assert not pays((3, 3, 512, 512), 1, tf.bfloat16, training=False)


def test_gradients_by_products_are_those_of_convolutions(reference_model, monkeypatch):
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: False)
    expected, calls = gradients(reference_model), []
    convolve = filter_gradient.convolve
    monkeypatch.setattr(filter_gradient, "pays", lambda *_: True)
    monkeypatch.setattr(filter_gradient, "convolve", lambda *a: calls.append(a) or convolve(*a))
    found = gradients(reference_model)
    assert len(calls) >= 16
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4 * np.ptp(two))


def test_gpus_have_algorithms_of_their_own(monkeypatch):
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: True)
    monkeypatch.setattr(arithmetic, "is_x86_without_bfloat16", lambda: True)
    assert not engine.winograd_pays((3, 3, 512, 512), 1, tf.float32, training=True)
    assert arithmetic.type_to_compute(tf.bfloat16) == tf.bfloat16


def test_scores_are_those_of_plain_convolutions(reference_model, wide_enough):
    images = tf.random.stateless_normal([2, 65, 97, 3], [1, 2], stddev=50.0)
    fastest = Convolutions(reference_model.parameters, reference_model.dtype)
    assert fastest.uses_winograd(LAYERS[1])
    plain = reference_model.plain_convolutions()
    assert not plain.uses_winograd(LAYERS[1])
    expected = reference_model.scores(images, convolutions=plain)
    found = reference_model.scores(images)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected))


def test_gradients_are_those_of_plain_convolutions(reference_model, wide_enough, monkeypatch):
    found = gradients(reference_model)
    monkeypatch.setattr(engine, "winograd_pays", lambda *_: False)
    expected = gradients(reference_model)
    assert any(np.any(one != two) for one, two in zip(found, expected, strict=True))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4 * np.ptp(two))


def gradients(network):
    images = tf.random.stateless_normal([2, 33, 41, 3], [1, 2], stddev=50.0)
    labels = tf.cast(tf.random.stateless_uniform([2, 33, 41, 1], [3, 4], 0, 21, tf.int32), tf.uint8)

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            loss = network.loss(images, labels, training=True, seed=[0, 0])
        return tape.gradient(loss, list(network.parameters.values()))

    return compute()


def test_bfloat16_without_its_arithmetic_rounds_what_goes_in_and_out(monkeypatch):
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: False)
    monkeypatch.setattr(arithmetic, "is_x86_without_bfloat16", lambda: True)
    network = DeepLabLFOVModel(3, 1 / 64, precision="bfloat16", seed=0)
    filters, _ = Convolutions(network.parameters, network.dtype).prepared(LAYERS[0])
    assert filters.dtype == tf.float32
    rounded = tf.cast(network.parameters["conv1_1/w"], tf.bfloat16)
    np.testing.assert_array_equal(filters, tf.cast(rounded, tf.float32))
    for _, blob in network.blobs(tf.random.stateless_normal([1, 9, 9, 3], [1, 2])):
        assert blob.dtype == tf.float32
        np.testing.assert_array_equal(blob, tf.cast(tf.cast(blob, tf.bfloat16), tf.float32))


def test_rounding_gives_the_nearest_bfloat16():
    x = tf.random.stateless_normal([1000], [1, 2], stddev=100.0)
    expected = tf.cast(tf.cast(x, tf.bfloat16), tf.float32)
    found = tf.function(engine.round_to_bfloat16)(x)
    np.testing.assert_array_equal(found, expected)
    with tf.GradientTape() as tape:
        tape.watch(x)
        rounded = engine.round_to_bfloat16(x)
    np.testing.assert_array_equal(tape.gradient(rounded, x), np.ones(1000))
