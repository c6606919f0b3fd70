"""Precisions: TensorFlow's one switch, what devices make of them, and what TF32 touches."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.network import arithmetic, grid
from deeplab_lfov.network.loss import cross_entropy
from deeplab_lfov.network.model import DeepLabLFOVModel
from helpers import NARROW


@pytest.fixture
def gpus(monkeypatch):
    """Let there be GPUs of some compute capabilities, in a process that has chosen nothing."""
    switch = SimpleNamespace(is_on=True)
    config = tf.config.experimental
    monkeypatch.setattr(arithmetic, "_chosen", None)
    monkeypatch.setattr(config, "tensor_float_32_execution_enabled", lambda: switch.is_on)
    monkeypatch.setattr(
        config, "enable_tensor_float_32_execution", lambda on: vars(switch).update(is_on=on)
    )
    monkeypatch.setattr(
        config, "get_device_details", lambda gpu: {"compute_capability": gpu, "device_name": "X"}
    )

    def there_are(*capabilities):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: capabilities)
        return switch

    return there_are


@pytest.mark.parametrize(
    ("first", "other"), [("float32", "tensorfloat32"), ("tensorfloat32", "float32")]
)
def test_the_first_network_of_a_process_decides(gpus, first, other):
    switch = gpus((8, 0))
    DeepLabLFOVModel(3, NARROW, precision=first)
    assert switch.is_on == (first == "tensorfloat32")
    for precision in (first, "bfloat16", "float16"):
        DeepLabLFOVModel(3, NARROW, precision=precision)
    with pytest.raises(UserError, match=f"in {other} cannot be in a process .* in {first}"):
        DeepLabLFOVModel(3, NARROW, precision=other)


def test_a_switch_that_somebody_has_turned_since_is_noticed(gpus):
    switch = gpus((8, 0))
    DeepLabLFOVModel(3, NARROW, precision="float32")
    switch.is_on = True
    with pytest.raises(UserError, match="in float32 cannot be"):
        DeepLabLFOVModel(3, NARROW, precision="float32")


def test_without_a_gpu_both_are_the_same(gpus):
    gpus()
    one, two = (
        DeepLabLFOVModel(3, NARROW, precision=precision, seed=0)
        for precision in ("float32", "tensorfloat32")
    )
    images = tf.random.stateless_normal([1, 17, 25, 3], [0, 1], stddev=50.0)
    np.testing.assert_array_equal(one.scores(images), two.scores(images))


@pytest.mark.parametrize(
    ("capabilities", "precision", "words", "short"),
    [
        ([(8, 0)], "tensorfloat32", "X, tensorfloat32", "bfloat16"),
        ([(8, 0)], "float32", "X, float32", "bfloat16"),
        ([(9, 0), (7, 5)], "tensorfloat32", "X, tensorfloat32 (float32 here)", "float16"),
        ([(7, 0)], "bfloat16", "X, bfloat16", "float16"),
        ([], "tensorfloat32", "X, tensorfloat32 (float32 here)", None),
        ([], "bfloat16", "X, bfloat16 (rounded to it, computed in float32)", None),
    ],
)
def test_precisions_by_device(gpus, monkeypatch, capabilities, precision, words, short):
    gpus(*capabilities)
    monkeypatch.setattr(arithmetic, "is_x86_without_bfloat16", lambda: True)
    monkeypatch.setattr(arithmetic, "missing_gpu", lambda: "")
    assert arithmetic.device_lines("X", precision) == [f"device   {words}"]
    assert arithmetic.short_precision() == short


def test_cpus_with_its_arithmetic_save_memory_with_bfloat16(gpus, monkeypatch):
    gpus()
    monkeypatch.setattr(arithmetic, "is_x86_without_bfloat16", lambda: False)
    assert arithmetic.short_precision() == "bfloat16"


def test_a_gpu_that_is_not_used_has_a_line(gpus, monkeypatch):
    gpus()
    monkeypatch.setattr(arithmetic, "missing_gpu", lambda: "a driver is here")
    assert arithmetic.device_lines("CPU", "float32")[1:] == ["         a driver is here"]


def as_tensorfloat32(x):
    """Round to 10 bits of fraction, halves to even, as such a GPU rounds what it multiplies."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0xFFF + (bits >> 13 & 1)) & ~np.uint64(0x1FFF)
    return bits.astype(np.uint32).view(np.float32)


def test_rounding_to_tensorfloat32():
    found = as_tensorfloat32(np.float32([1, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-12]))
    np.testing.assert_array_equal(found, np.float32([1, 1 + 2**-10, 1, 1 + 2**-9, -1]))


@pytest.fixture
def emulated_gpu(monkeypatch):
    """Round the operands of every convolution and matrix product, as if a GPU computed in TF32."""

    def rounding(function):
        def call(one, two, *rest, **options):
            return function(*map(as_tensorfloat32, (one, two)), *rest, **options)

        return call

    exact_einsum = tf.einsum

    def einsum(equation, *operands):
        return exact_einsum(equation, *map(as_tensorfloat32, operands))

    monkeypatch.setattr(arithmetic, "has_gpu", lambda: True)
    monkeypatch.setattr(tf.nn, "conv2d", rounding(tf.nn.conv2d))
    monkeypatch.setattr(tf.nn, "atrous_conv2d", rounding(tf.nn.atrous_conv2d))
    multiply = rounding(tf.matmul)
    monkeypatch.setattr(tf, "matmul", multiply)
    monkeypatch.setattr(type(tf.ones(1)), "__matmul__", multiply)
    monkeypatch.setattr(tf, "einsum", einsum)


def test_tf32_moves_scores_far_beyond_caffes(emulated_gpu, reference_model, caffe_blobs):
    """1e-3 of the range, where float32 is held to 1e-5: so it is a precision of its own."""
    expected = caffe_blobs["fc8_voc12"]
    error = np.abs(reference_model.scores(caffe_blobs["data"]) - expected).max()
    assert 1e-4 < error / np.ptp(expected) < 5e-3


def test_tf32_does_not_touch_what_comes_after_the_convolutions(emulated_gpu, monkeypatch):
    scores = tf.random.stateless_normal([1, 5, 6, 21], [0, 1])
    rows, columns = (np.linspace(0, most, 29, dtype=np.float32) for most in (4, 5))
    weights = np.maximum(1 - np.abs(rows[:, np.newaxis] - np.arange(5)), 0)
    across = np.maximum(1 - np.abs(columns[:, np.newaxis] - np.arange(6)), 0)
    exact = np.einsum("rh,sw,hwc->rsc", weights, across, scores[0].numpy().astype(np.float64))
    np.testing.assert_allclose(grid.interpolate(scores[0], rows, columns), exact, atol=1e-6)
    upsampled = grid.upsample_scores(scores, 33, 41)
    np.testing.assert_allclose(upsampled[:, ::8, ::8], scores, atol=1e-6)
    logs = tf.nn.log_softmax(tf.cast(scores, tf.float64))[0, :, :, 3]
    loss = cross_entropy(scores, tf.fill([1, 33, 41, 1], tf.constant(3, tf.uint8)))
    np.testing.assert_allclose(loss, -tf.reduce_sum(logs), rtol=1e-6)
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: False)  # CPUs' matrix product would not do
    assert np.abs(grid.interpolate(scores[0], rows, columns) - exact).max() > 1e-4
