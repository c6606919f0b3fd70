"""Random scale, crop and mirror of a training picture and its mask, and the padding after.

Every step is (image, mask) -> (image, mask) of Pillow's images, RGB and labels in mode L, which are
at last the arrays that the network takes. The draws are a function of (seed, sample's number).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_lfov.seeds import seed_for
from deeplab_lfov.transforms import MEAN_BGR
from deeplab_lfov.voc import VOID

Size = tuple[int, int]  # height, width


class Draw(NamedTuple):
    """What chance decides for a sample: numbers, or tensors of them."""

    factor: tf.Tensor
    """Of the sides, in [scales[0], scales[1])."""
    position: tf.Tensor
    """[2] in [0, 1): where the window is between the top and the bottom, the left and the right."""
    mirrored: tf.Tensor
    """Whether left and right are swapped."""


def draw(seed: int, number: tf.Tensor, scales: tuple[float, float], mirror: bool) -> Draw:
    """What is drawn for the run's sample `number`; about half are mirrored, if `mirror`."""
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    position = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    coin = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    return Draw(factor, position, mirror & (coin < 0.5))


def window(
    image: Image.Image, mask: Image.Image, size: Size, factor: float, position: np.ndarray
) -> tuple[Image.Image, Image.Image]:
    """Resize both by the factor and cut a window from them, of which alone pixels are computed.

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
    """Swap left and right of both."""
    swap = Image.Transpose.FLIP_LEFT_RIGHT
    return image.transpose(swap), mask.transpose(swap)


def padded(
    image: Image.Image, mask: Image.Image, size: Size, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """float32 BGR minus the mean [*size, 3] and uint8 [*size, 1], neither side smaller than before.

    Below and at the right, or at the left of mirrored ones (Caffe pads before it mirrors), the
    image is padded with 0, the mean, and the mask with void.
    """
    width, height = mask.size
    left = size[1] - width if mirrored else 0
    pixels, labels = np.zeros((*size, 3), np.float32), np.full((*size, 1), VOID, np.uint8)
    bgr = np.frombuffer(image.tobytes("raw", "BGR"), np.uint8).reshape(height, -1)
    rows = pixels.reshape(size[0], -1)  # a view: numpy is slow on triples
    rows = rows[:height, 3 * left : 3 * (left + width)]
    np.subtract(bgr, np.tile(np.float32(MEAN_BGR), width), out=rows)
    labels[:height, left : left + width, 0] = mask
    return pixels, labels
