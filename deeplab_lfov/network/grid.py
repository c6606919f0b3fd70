"""The stride-8 grid of the scores: labels down to it, scores up from it.

Score cell (i, j) sits on pixel (8i, 8j). Pictures are padded at the bottom and right to 8k+1
pixels, so that the grid reaches every corner (the `Interp` layers of the authors' Caffe).
"""

import numpy as np
import tensorflow as tf

from deeplab_lfov.network import arithmetic
from deeplab_lfov.network.layers import STRIDE
from deeplab_lfov.voc import VOID

Array = tf.Tensor | np.ndarray


def pad_to_grid(pixels: tf.Tensor, value: int = 0) -> tf.Tensor:
    """Pad [N, H, W, C] with `value` at the bottom and right to the next height and width 8k+1."""
    # No negative number is divided: converters to ONNX leave its remainder below 0.
    height, width = tf.unstack((STRIDE - (tf.shape(pixels)[1:3] - 1) % STRIDE) % STRIDE)
    return tf.pad(pixels, [[0, 0], [0, height], [0, width], [0, 0]], constant_values=value)


def shrink_labels(labels: tf.Tensor) -> tf.Tensor:
    """Take every 8th pixel: uint8 [N, H, W, 1] -> uint8 [N, ceil(H/8), ceil(W/8), 1].

    Sizes that are not 8k+1 are padded with void first, as their pictures are with the mean.
    """
    return pad_to_grid(labels, VOID)[:, ::STRIDE, ::STRIDE]


def upsample_scores(
    scores: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """Interpolate float32 [N, k+1, l+1, C] -> [N, height, width, C], aligned corners, factor 8.

    height and width are at most 8k+1 and 8l+1 pixels; of larger grids the top left is taken.
    """
    # Not by a matrix product, as a graph may be run on any device.
    for axis, size in ((-2, width), (-3, height)):
        places = tf.cast(tf.range(size), tf.float32) / STRIDE
        low = tf.cast(places, tf.int64)  # as int32 they would go through the host's memory
        high = tf.minimum(low + 1, tf.shape(scores, tf.int64)[axis] - 1)
        share = tf.reshape(places - tf.cast(low, tf.float32), [-1] + [1] * (-axis - 1))
        scores = _between(scores, low, high, share, axis)
    return scores


# Not a tf.function: that takes longer to trace than one picture takes. In NumPy whatever is small,
# as TensorFlow takes a millisecond to make each kernel.
def interpolate(scores: Array, rows: np.ndarray, columns: np.ndarray, first: int = 0) -> tf.Tensor:
    """Interpolate scores bilinearly: float32 [..., h, w, C] -> [..., R, S, C].

    rows float32 [R] and columns float32 [S] are places on the grid, in cells. The scores may be
    those of its rows from `first` on.
    """
    scores, rows = _along(scores, columns, -2), rows - first
    if arithmetic.has_gpu():  # which would round a product; on CPUs that is faster than gathers
        return _along(scores, rows, -3)
    distances = np.abs(rows[:, np.newaxis] - np.arange(scores.shape[-3], dtype=np.float32))
    return tf.einsum("rh,...hsc->...rsc", np.maximum(1 - distances, 0), scores)


def _along(scores: Array, places: np.ndarray, axis: int) -> tf.Tensor:
    """Interpolate at places along a negative axis, in cells, float32 [P]."""
    low = places.astype(np.int64)
    high = np.minimum(low + 1, scores.shape[axis] - 1)
    share = places - low.astype(np.float32)
    return _between(scores, low, high, share.reshape(-1, *[1] * (-axis - 1)), axis)


def _between(scores: Array, low: Array, high: Array, share: Array, axis: int) -> tf.Tensor:
    """Interpolate linearly along a negative axis, in exact float32.

    low and high int64 [P] are two neighbours; share [P, 1, ...] is how far to go from the first.
    """
    before, after = (tf.gather(scores, index, axis=axis) for index in (low, high))
    return before * (1 - share) + after * share


def likeliest_labels(scores: tf.Tensor) -> tf.Tensor:
    """Return the label with the highest score: float32 [..., C] -> uint8 [...]."""
    return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)
