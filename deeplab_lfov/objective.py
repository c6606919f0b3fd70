"""The stride-8 grid: labels down to it, scores up from it, and the loss on it.

Score cell (i, j) sits on pixel (8i, 8j). Pictures are padded at the bottom and right to 8k+1
pixels, so that the grid reaches every corner (the `Interp` layers of the authors' Caffe).
"""

import tensorflow as tf

from deeplab_lfov.voc import VOID

STRIDE = 8


def pad_to_grid(pixels: tf.Tensor, value: int = 0) -> tf.Tensor:
    """Pad [N, H, W, C] with `value` at the bottom and right to the next height and width 8k+1."""
    height, width = tf.unstack(-(tf.shape(pixels)[1:3] - 1) % STRIDE)
    return tf.pad(pixels, [[0, 0], [0, height], [0, width], [0, 0]], constant_values=value)


def shrink_labels(labels: tf.Tensor) -> tf.Tensor:
    """uint8 [N, H, W, 1] -> uint8 [N, ceil(H/8), ceil(W/8), 1], every 8th pixel.

    Sizes that are not 8k+1 are padded with void first, as their pictures are with the mean.
    """
    return pad_to_grid(labels, VOID)[:, ::STRIDE, ::STRIDE]


def upsample_scores(
    scores: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """float32 [N, k+1, l+1, C] -> [N, height, width, C], bilinear with aligned corners, factor 8.

    The result of 8k+1 by 8l+1 pixels is cropped to height and width, which must not exceed it.
    """
    size = (tf.shape(scores)[1:3] - 1) * STRIDE + 1
    pixels = tf.raw_ops.ResizeBilinear(images=scores, size=size, align_corners=True)
    return pixels[:, :height, :width]


def cross_entropy(scores: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The softmax cross-entropy summed over the labelled cells, and their number, both float32 [].

    scores: float32 [N, h, w, C]; labels: uint8 [N, h, w, 1] on the same grid, void cells left out.
    The mean of a batch is the quotient of the two (Caffe's SoftmaxWithLoss with ignore_label).
    """
    labels = tf.cast(tf.squeeze(labels, -1), tf.int32)
    labelled = labels != VOID
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.boolean_mask(labels, labelled), logits=tf.boolean_mask(scores, labelled)
    )
    return tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32)
