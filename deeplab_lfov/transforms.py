"""What happens to a picture before the network: each step is (image, mask) -> (image, mask).

Images are float32 BGR minus the mean [H, W, 3], masks uint8 labels [H, W, 1]. Where a step makes
new pixels the image gets 0, which is the mean, and the mask void.
"""

import tensorflow as tf

from deeplab_lfov.seeds import seed_for
from deeplab_lfov.voc import VOID

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""The mean of ImageNet's pixels, as subtracted in the training of VGG-16."""


def network_input(image: tf.Tensor) -> tf.Tensor:
    """uint8 RGB [..., H, W, 3] -> float32 BGR minus the mean, what the network takes."""
    return tf.cast(image[..., ::-1], tf.float32) - MEAN_BGR


def picture(image: tf.Tensor) -> tf.Tensor:
    """The inverse of `network_input`: float32 BGR minus the mean -> uint8 RGB."""
    return tf.saturate_cast(tf.round((image + MEAN_BGR)[..., ::-1]), tf.uint8)


def random_scale(
    image: tf.Tensor, mask: tf.Tensor, scales: tuple[float, float], seed: int, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resize both by one factor drawn from [scales[0], scales[1]): bilinear, and nearest."""
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    size = tf.cast(tf.round(tf.cast(tf.shape(mask)[:2], tf.float32) * factor), tf.int32)
    size = tf.maximum(size, 1)
    return tf.image.resize(image, size), tf.image.resize(mask, size, "nearest")


def random_crop(
    image: tf.Tensor, mask: tf.Tensor, size: tuple[int, int], seed: int, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cut a random window of size (height, width) from both, padded to that size if smaller."""
    image, mask = pad(image, mask, size)
    rows, columns = tf.unstack(tf.shape(mask)[:2] - size + 1)
    draws = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    top = tf.cast(draws[0] * tf.cast(rows, tf.float32), tf.int32)
    left = tf.cast(draws[1] * tf.cast(columns, tf.float32), tf.int32)
    window = (slice(top, top + size[0]), slice(left, left + size[1]))
    return tf.ensure_shape(image[window], [*size, 3]), tf.ensure_shape(mask[window], [*size, 1])


def pad(image: tf.Tensor, mask: tf.Tensor, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Pad at the bottom and right to at least size (height, width)."""
    below, right = tf.unstack(tf.maximum(size - tf.shape(mask)[:2], 0))
    border = [[0, below], [0, right], [0, 0]]
    return tf.pad(image, border), tf.pad(mask, border, constant_values=VOID)


def random_mirror(
    image: tf.Tensor, mask: tf.Tensor, seed: int, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Swap left and right of both in every second sample or so."""
    draw = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    step = tf.where(draw < 0.5, -1, 1)
    return image[:, ::step], mask[:, ::step]
