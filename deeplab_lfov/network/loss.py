"""The loss: softmax cross-entropy of the cells of the grid, void left out."""

import tensorflow as tf

from deeplab_lfov.network.grid import shrink_labels
from deeplab_lfov.voc import VOID


def cross_entropy(
    scores: tf.Tensor, labels: tf.Tensor, class_weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Sum the weighted softmax cross-entropy of all cells, float32 [].

    scores: float32 [N, k+1, l+1, C]; labels: uint8 [N, H, W, 1] of the pixels; class_weights:
    float32 [C]. Divided by `total_weight` it is Caffe's SoftmaxWithLoss with ignore_label.
    """
    cells = shrink_labels(labels)
    weights = cell_weights(cells, class_weights)
    # On GPUs int32 goes through the host's memory, and so does a check of higher ranks.
    classes = tf.where(weights > 0, tf.cast(tf.squeeze(cells, -1), tf.int64), 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.reshape(classes, [-1]), logits=tf.reshape(scores, [-1, scores.shape[-1]])
    )
    return tf.reduce_sum(tf.reshape(losses, tf.shape(weights)) * weights)


def total_weight(labels: tf.Tensor, class_weights: tf.Tensor | None = None) -> tf.Tensor:
    """Sum what the cells count in the loss: uint8 [N, H, W, 1] -> float32 []."""
    return tf.reduce_sum(cell_weights(shrink_labels(labels), class_weights))


def cell_weights(cells: tf.Tensor, class_weights: tf.Tensor | None = None) -> tf.Tensor:
    """Return what each cell counts in the loss: labels uint8 [N, h, w, 1] -> float32 [N, h, w].

    That is 0 where it is void, else the weight of its class (float32 [C]), or 1.
    """
    labels = tf.squeeze(cells, -1)
    if class_weights is None:
        return tf.cast(labels != VOID, tf.float32)
    by_label = tf.pad(class_weights[:VOID], [[0, 256 - min(VOID, class_weights.shape[0])]])
    return tf.gather(by_label, tf.cast(labels, tf.int32))
