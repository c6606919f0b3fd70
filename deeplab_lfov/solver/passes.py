"""A batch in several passes that fit the memory, the gradients being those of the whole."""

from collections.abc import Callable, Sequence

import tensorflow as tf

LossAndGradients = tuple[tf.Tensor, list[tf.Tensor]]
Compute = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], LossAndGradients]
"""(images, labels, number of the first sample) -> their share of the loss and its gradients."""


def in_passes(
    compute: Compute,
    images: tf.Tensor,
    labels: tf.Tensor,
    first_sample: tf.Tensor,
    num_passes: int,
    parameters: Sequence[tf.Variable],
) -> LossAndGradients:
    """Add up what `compute` gives for num_passes parts of the samples, one after the other.

    There are at least as many samples as passes; gradients are those of `parameters`.
    """
    if num_passes == 1:
        return compute(images, labels, first_sample)
    size = tf.shape(images)[0]
    loss, gradients = tf.zeros([]), [tf.zeros_like(parameter) for parameter in parameters]
    for number in tf.range(num_passes):
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)  # to save memory
        start, end = number * size // num_passes, (number + 1) * size // num_passes
        first = first_sample + tf.cast(start, tf.int64)
        more = compute(images[start:end], labels[start:end], first)
        loss += more[0]
        gradients = [one + two for one, two in zip(gradients, more[1], strict=True)]
    return loss, gradients
