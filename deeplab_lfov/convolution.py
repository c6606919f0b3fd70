"""How a convolution is computed best on this machine: in which type, and by which algorithm."""

import functools
import re
from pathlib import Path

import tensorflow as tf


def type_to_compute(precision: tf.DType) -> tf.DType:
    """float32 for bfloat16 where the CPU has no bfloat16 arithmetic, else the precision itself.

    Products of numbers that are `round_to_bfloat16` added up in float32 are what such arithmetic
    gives.
    """
    emulated = precision == tf.bfloat16 and not _has_gpu() and _is_x86_without_bfloat16()
    return tf.float32 if emulated else precision


def round_to_bfloat16(x: tf.Tensor) -> tf.Tensor:
    """float32 with the 8 significant bits of bfloat16 (Veltkamp's splitting; Dekker 1971).

    Several times faster than a cast there and back.
    """
    scaled = x * (2.0**16 + 1)
    return scaled - (scaled - x)


def pays_by_winograd(
    filters: tuple[int, int, int, int], dilation: int, dtype: tf.DType, training: bool
) -> bool:
    """Whether Winograd's algorithm is the faster one on this machine, for filters of a HWIO shape.

    As `util/benchmark.py convolutions` measured it on CPUs: from 128 channels on, and in training
    from 64, because TensorFlow is slow at the gradient of filters. fc6, whose dilation of 12 leaves
    few pixels of each residue, is as fast without and takes less memory.
    """
    if dtype != tf.float32 or filters[:2] != (3, 3) or _has_gpu():
        return False
    return dilation <= 2 and filters[2] >= (64 if training else 128)


def convolution(x: tf.Tensor, filters: tf.Tensor, dilation: int) -> tf.Tensor:
    """TensorFlow's: [N, H, W, C] by [h, w, C, O] -> [N, H, W, O], stride 1, zeros around x."""
    if dilation == 1 or _dilated_gradients_work(x.dtype):
        return tf.nn.conv2d(x, filters, 1, "SAME", dilations=dilation)
    return tf.nn.atrous_conv2d(x, filters, dilation, "SAME")


def _has_gpu() -> bool:
    return bool(tf.config.get_visible_devices("GPU"))


@functools.cache
def _is_x86_without_bfloat16() -> bool:
    """oneDNN, TensorFlow's library for x86, needs one of two extensions to be fast in bfloat16.

    With plain AVX-512 its own emulation takes six times as long as float32.
    """
    try:
        processor = Path("/proc/cpuinfo").read_text()
    except OSError:  # another system than Linux
        return False
    return "sse2" in processor and not re.search(r"\b(avx512_bf16|amx_bf16)\b", processor)


@functools.cache
def _dilated_gradients_work(dtype: tf.DType) -> bool:
    """TensorFlow's own CPU kernels cannot train dilated convolutions; oneDNN's (x86) can."""
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 3, 3, 1],
                filter=tf.ones([3, 3, 1, 1], dtype),
                out_backprop=tf.ones([1, 3, 3, 1], dtype),
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True
