"""Between pictures, uint8 RGB, and what the network takes, float32 BGR minus the mean."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""The mean of ImageNet's pixels that DeepLab and FCN subtract.

VGG-16 itself was trained with 103.939, 116.779, 123.68; see docs/weights.md for what that changes.
"""


def network_input(image: tf.Tensor) -> tf.Tensor:
    """Turn RGB [..., H, W, 3] from 0 to 255 into float32 BGR minus the mean."""
    bgr = tf.cast(tf.reverse(image, [-1]), tf.float32)
    shape = tf.shape(bgr)
    rows = tf.reshape(bgr, tf.concat([shape[:-2], [-1]], 0))  # TensorFlow is slow on triples
    return tf.reshape(rows - tf.tile(MEAN_BGR, shape[-2:-1]), shape)


def padded_input(images: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Compute `network_input` of an array [..., h, w, 3] and add 0, the mean: [..., *size, 3].

    size: (height, width); what is added is below and at the right.
    """
    *batch, height, width, _ = images.shape
    padded = np.zeros([*batch, *size, 3], np.float32)
    inside = padded[..., :height, :width, :]
    for channel, mean in enumerate(MEAN_BGR):  # one by one: NumPy is slow on triples
        source = images[..., 2 - channel]
        np.subtract(source, mean, out=inside[..., channel], dtype=np.float32)
    return padded


def picture(image: tf.Tensor) -> tf.Tensor:
    """Turn what the network takes, float32 BGR minus the mean, back into uint8 RGB."""
    return tf.saturate_cast(tf.round((image + MEAN_BGR)[..., ::-1]), tf.uint8)
