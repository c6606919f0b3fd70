"""Between pictures, uint8 RGB, and what the network takes, float32 BGR minus the mean."""

import tensorflow as tf

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""The mean of ImageNet's pixels, as subtracted in the training of VGG-16."""


def network_input(image: tf.Tensor) -> tf.Tensor:
    """Turn RGB [..., H, W, 3] from 0 to 255 into float32 BGR minus the mean."""
    bgr = tf.cast(tf.reverse(image, [-1]), tf.float32)
    shape = tf.shape(bgr)
    rows = tf.reshape(bgr, tf.concat([shape[:-2], [-1]], 0))  # TensorFlow is slow on triples
    return tf.reshape(rows - tf.tile(MEAN_BGR, shape[-2:-1]), shape)


def picture(image: tf.Tensor) -> tf.Tensor:
    """Turn what the network takes, float32 BGR minus the mean, back into uint8 RGB."""
    return tf.saturate_cast(tf.round((image + MEAN_BGR)[..., ::-1]), tf.uint8)
