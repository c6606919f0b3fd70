"""Random scale, crop, mirror and other changes of a training image and its mask, and padding.

Every step is (image, labels) -> (image, labels): an RGB image of Pillow's and labels uint8 [h, w],
at last the tensors that the network takes. The draws are a function of (seed, sample's number).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFilter, ImageOps

from deeplab_lfov.preprocess import MEAN_BGR, network_input
from deeplab_lfov.seeds import seed_for
from deeplab_lfov.voc import VOID

Size = tuple[int, int]  # height, width
Pair = tuple[Image.Image, np.ndarray]  # image and labels
Rng = np.random.Generator

_MEAN = tuple(map(round, MEAN_BGR[::-1]))
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


class Draw(NamedTuple):
    """What chance decides for a sample: numbers, or tensors of them."""

    factor: tf.Tensor  # that the sides are multiplied by
    position: tf.Tensor  # [2] in [0, 1): where the window is between the ends of both sides
    mirrored: tf.Tensor
    number: tf.Tensor  # of the sample, which decides all else


def draw(seed: int, number: tf.Tensor, scales: tuple[float, float], mirror: bool) -> Draw:
    """Draw scale, place and mirroring of the run's sample `number`; half mirror, if `mirror`."""
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    position = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    coin = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    return Draw(factor, position, mirror & (coin < 0.5), tf.cast(number, tf.int64))


def window(
    image: Image.Image, labels: np.ndarray, size: Size, factor: float, position: np.ndarray
) -> Pair:
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
    resized, box = (width, height), (left, top, right, bottom)
    labels = Image.fromarray(labels).resize(resized, Image.Resampling.NEAREST, box)
    return image.resize(resized, Image.Resampling.BILINEAR, box), np.asarray(labels)


def augmented(
    pair: Pair, size: Size, draw: Draw, strengths: dict[str, float], rare: Sequence[int], rng: Rng
) -> Pair:
    """Cut and mirror a window, of size at most, and change it by the strengths of `STRENGTHS`.

    rare: labels, one of which the window shall hold. What a rotation brings in is void in the
    labels, and in the image the mean.
    """
    flip, turn, tilt, blur, *shares = rng.random(8).tolist()  # a NumPy float would confuse Pillow
    flips = flip < strengths["flip"]  # upside down is mirrored, then half a turn
    turns = 1 + int(3 * turn / strengths["turn"]) if turn < strengths["turn"] else 0
    degrees = strengths["rotate"] * (2 * tilt - 1) + 90 * turns + 180 * flips
    cosine, sine = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    needed = np.ceil(np.round(size @ np.array([[cosine, sine], [sine, cosine]]), 6))
    draw = at_rare(pair[1], rare, needed, draw, rng)
    image, labels = window(*pair, needed, draw.factor, draw.position)
    if draw.mirrored != flips:
        image, labels = ImageOps.mirror(image), labels[:, ::-1]
    if strengths["color"]:
        image = recolored(image, strengths["color"] * (2 * np.array(shares) - 1))
    if strengths["blur"] and blur > 0.5:
        image = image.filter(ImageFilter.GaussianBlur(strengths["blur"] * (2 * blur - 1)))
    if degrees:
        image = _rotated(image, degrees, size, _MEAN, Image.Resampling.BILINEAR)
        labels = np.array(_rotated(Image.fromarray(labels), degrees, size, VOID))
    return image, labels


def _rotated(picture: Image.Image, degrees: float, size: Size, fill: object, resample: int = 0):
    """Rotate a picture, and cut its middle, of size at most."""
    picture = picture.rotate(degrees, resample, expand=True, fillcolor=fill)
    width, height = np.minimum(picture.size, size[::-1]).tolist()
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def recolored(image: Image.Image, shares: Sequence[float]) -> Image.Image:
    """Change brightness, contrast and saturation by shares, and the hue by a share of 36 degrees.

    That is one linear map: of the color axes of YIQ, of the distance to the mean grey, and of all.
    """
    brightness, contrast, saturation, hue = shares
    color = (1 + saturation) * np.exp(0.2j * np.pi * hue)
    axes = np.array([[1, 0, 0], [0, color.real, -color.imag], [0, color.imag, color.real]])
    matrix = (1 + contrast) * np.linalg.inv(_YIQ) @ axes @ _YIQ
    offsets = [-contrast * np.mean(image.convert("L"))] * 3
    rows = (1 + brightness) * np.column_stack([matrix, offsets])
    return image.convert("RGB", tuple(rows.ravel().tolist()))


def at_rare(labels: np.ndarray, rare: Sequence[int], size: Size, draw: Draw, rng: Rng) -> Draw:
    """Move a window to a pixel of a rare label: into its middle half, if borders let it.

    Each label that occurs is as likely; where none does the draw stays as it is.
    """
    present = [label for label in rare if (labels == label).any()]
    if not present:
        return draw
    pixel = rng.choice(np.argwhere(labels == rng.choice(present)))
    room = np.maximum(np.rint(np.array(labels.shape) * draw.factor) - size, 0)
    first = (pixel + 0.5) * draw.factor - np.multiply(size, 0.25 + draw.position / 2)
    return draw._replace(position=(np.floor(np.clip(first, 0, room)) + 0.5) / (room + 1))


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
