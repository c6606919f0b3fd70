"""Random scale, crop and mirror of a training picture and its mask, and the padding after.

Every step is (image, labels) -> (image, labels): an RGB image of Pillow's and labels uint8 [h, w],
at last the tensors that the network takes. The draws are a function of (seed, sample's number).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_lfov.preprocess import network_input
from deeplab_lfov.seeds import seed_for
from deeplab_lfov.voc import VOID

Size = tuple[int, int]  # height, width


class Draw(NamedTuple):
    """What chance decides for a sample: numbers, or tensors of them."""

    factor: tf.Tensor  # that the sides are multiplied by
    position: tf.Tensor  # [2] in [0, 1): where the window is between the ends of both sides
    mirrored: tf.Tensor


def draw(seed: int, number: tf.Tensor, scales: tuple[float, float], mirror: bool) -> Draw:
    """Draw scale, place and mirroring of the run's sample `number`; half mirror, if `mirror`."""
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    position = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    coin = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    return Draw(factor, position, mirror & (coin < 0.5))


def window(
    image: Image.Image, labels: np.ndarray, size: Size, factor: float, position: np.ndarray
) -> tuple[Image.Image, np.ndarray]:
    """Resize an image and its labels by the factor and cut the same window from both.

    The image bilinearly, averaging when it shrinks, as `segmentation.View` does; of the labels the
    nearest. The window has `size`, or less where the resized picture is smaller.
    """
    shape = np.array(labels.shape)
    resized = np.maximum(np.rint(shape * np.float32(factor)), 1)
    first = np.floor(position * (np.maximum(resized - size, 0) + 1))
    height, width = np.minimum(resized, size).astype(int)
    ends = (first + (height, width)) * shape / resized
    top, left = first * shape / resized
    bottom, right = np.minimum(ends, shape)  # rounding may have led beyond
    image = image.resize((width, height), Image.Resampling.BILINEAR, (left, top, right, bottom))
    return image, labels[_nearest(top, bottom, height)][:, _nearest(left, right, width)]


def _nearest(first: float, last: float, num: int) -> np.ndarray:
    """Return the pixels that are nearest to `num` new ones between two places along a side.

    They are Pillow's, which has places in float32 and adds up steps, as all runs so far had them.
    """
    step = float(np.float32(last) - np.float32(first)) / num
    start = float(np.float32(first)) + step / 2
    return np.add.accumulate([start] + [step] * (num - 1)).astype(np.intp)


def mirror(image: Image.Image, labels: np.ndarray) -> tuple[Image.Image, np.ndarray]:
    """Swap left and right of an image and its labels."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), labels[:, ::-1]


def padded(
    image: tf.Tensor, labels: tf.Tensor, size: Size, mirrored: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Make of a window, of size at most, what the network takes: [*size, 3] and [*size, 1].

    image: uint8 RGB [h, w, 3]; labels: uint8 [h, w, 1]. Below and at the right, or at the left of
    mirrored ones (Caffe pads before it mirrors), the image is padded with 0, the mean, and the
    labels with void.
    """
    below, beside = tf.unstack(size - tf.shape(labels)[:2])
    columns = tf.where(mirrored, [beside, 0], [0, beside])
    borders = tf.stack([[0, below], columns, [0, 0]])
    image = tf.pad(network_input(image), borders)
    labels = tf.pad(labels, borders, constant_values=VOID)
    return tf.ensure_shape(image, [*size, 3]), tf.ensure_shape(labels, [*size, 1])
