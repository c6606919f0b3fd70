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


def likeliest_labels(
    scores: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
) -> tf.Tensor:
    """float32 [N, k+1, l+1, C] -> uint8 [N, height, width, 1], of scores as `upsample_scores`."""
    pixels = upsample_scores(scores, height, width)
    return tf.cast(tf.argmax(pixels, axis=-1)[..., tf.newaxis], tf.uint8)


def label_weights(labels: tf.Tensor, class_weights: tf.Tensor | None = None) -> tf.Tensor:
    """What each cell counts in the loss: uint8 [N, h, w, 1] -> float32 [N, h, w].

    0 where it is void, else the weight of its class (float32 [C]), or 1.
    """
    labels = tf.squeeze(labels, -1)
    if class_weights is None:
        return tf.cast(labels != VOID, tf.float32)
    by_label = tf.pad(class_weights[:VOID], [[0, 256 - min(VOID, class_weights.shape[0])]])
    return tf.gather(by_label, tf.cast(labels, tf.int32))


def cross_entropy(
    scores: tf.Tensor, labels: tf.Tensor, class_weights: tf.Tensor | None = None
) -> tf.Tensor:
    """The weighted sum of the cells' softmax cross-entropy, float32 [].

    scores: float32 [N, h, w, C]; labels: uint8 [N, h, w, 1] on the same grid. Over the sum of
    `label_weights` it is the mean (Caffe's SoftmaxWithLoss with ignore_label).
    """
    weights = label_weights(labels, class_weights)
    classes = tf.where(weights > 0, tf.cast(tf.squeeze(labels, -1), tf.int32), 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=scores)
    return tf.reduce_sum(losses * weights)
