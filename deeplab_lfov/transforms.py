"""Between pictures, uint8 RGB, and what the network takes, float32 BGR minus the mean."""

import tensorflow as tf

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""The mean of ImageNet's pixels, as subtracted in the training of VGG-16."""


def network_input(image: tf.Tensor) -> tf.Tensor:
    """RGB [..., H, W, 3] from 0 to 255 -> float32 BGR minus the mean, what the network takes."""
    return tf.reverse(tf.cast(image, tf.float32), [-1]) - MEAN_BGR


def picture(image: tf.Tensor) -> tf.Tensor:
    """The inverse of `network_input`: float32 BGR minus the mean -> uint8 RGB."""
    return tf.saturate_cast(tf.round((image + MEAN_BGR)[..., ::-1]), tf.uint8)
