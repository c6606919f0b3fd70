"""Random scale, crop and mirror of a training picture and its mask, and the padding after.

Every step is (image, mask) -> (image, mask): of Pillow's images, RGB and labels in mode L, and at
last of the tensors that the network takes. The draws are a function of (seed, sample's number).
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

    factor: tf.Tensor
    """What the sides are multiplied by, in [scales[0], scales[1])."""
    position: tf.Tensor
    """[2] in [0, 1): where the window is between the top and the bottom, the left and the right."""
    mirrored: tf.Tensor
    """Whether left and right are swapped."""


def draw(seed: int, number: tf.Tensor, scales: tuple[float, float], mirror: bool) -> Draw:
    """Draw scale, place and mirroring of the run's sample `number`; half mirror, if `mirror`."""
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    position = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    coin = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    return Draw(factor, position, mirror & (coin < 0.5))


def window(
    image: Image.Image, mask: Image.Image, size: Size, factor: float, position: np.ndarray
) -> tuple[Image.Image, Image.Image]:
    """Resize an image and its mask by the factor and cut the same window from both.

    The image bilinearly, averaging when it shrinks, as `segmentation.View` does; the mask by the
    nearest pixel. The window has `size`, or less where the resized picture is smaller.
    """
    shape = np.array(mask.size[::-1])
    resized = np.maximum(np.rint(shape * np.float32(factor)), 1)
    first = np.floor(position * (np.maximum(resized - size, 0) + 1))
    height, width = np.minimum(resized, size)
    ends = (first + (height, width)) * shape / resized
    top, left = first * shape / resized
    bottom, right = np.minimum(ends, shape)  # rounding may have led beyond
    box = (left, top, right, bottom)
    return tuple(
        part.resize((int(width), int(height)), method, box)
        for part, method in ((image, Image.Resampling.BILINEAR), (mask, Image.Resampling.NEAREST))
    )


def mirror(image: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Swap left and right of an image and its mask."""
    swap = Image.Transpose.FLIP_LEFT_RIGHT
    return image.transpose(swap), mask.transpose(swap)


def padded(
    image: tf.Tensor, labels: tf.Tensor, size: Size, mirrored: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Make of a window what the network takes: float32 BGR minus the mean [*size, 3], [*size, 1].

    image: uint8 RGB [h, w, 3]; labels: uint8 [h, w, 1]; no side is longer than that of size. Below
    and at the right, or at the left of mirrored ones (Caffe pads before it mirrors), the image is
    padded with 0, the mean, and the labels with void.
    """
    below, beside = tf.unstack(size - tf.shape(labels)[:2])
    columns = tf.where(mirrored, [beside, 0], [0, beside])
    borders = tf.stack([[0, below], columns, [0, 0]])
    image = tf.pad(network_input(image), borders)
    labels = tf.pad(labels, borders, constant_values=VOID)
    return tf.ensure_shape(image, [*size, 3]), tf.ensure_shape(labels, [*size, 1])
