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
    """RGB [..., H, W, 3] from 0 to 255 -> float32 BGR minus the mean, what the network takes."""
    return tf.reverse(tf.cast(image, tf.float32), [-1]) - MEAN_BGR


def picture(image: tf.Tensor) -> tf.Tensor:
    """The inverse of `network_input`: float32 BGR minus the mean -> uint8 RGB."""
    return tf.saturate_cast(tf.round((image + MEAN_BGR)[..., ::-1]), tf.uint8)


def random_window(
    image: tf.Tensor,
    mask: tf.Tensor,
    size: tuple[int, int],
    scales: tuple[float, float],
    seed: int,
    number: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resize both by a factor drawn from [scales[0], scales[1]) and cut a random window from them.

    Bilinear, and nearest; only the window's pixels are computed. It has `size` (height, width), or
    less where the resized picture is smaller. image: numbers of any type [H, W, 3].
    """
    shape = tf.shape(mask)[:2]
    factor = tf.random.stateless_uniform([], seed_for("scale", seed, number), *scales)
    resized = tf.maximum(tf.round(tf.cast(shape, tf.float32) * factor), 1)
    ratio = resized / tf.cast(shape, tf.float32)
    spare = tf.maximum(resized - size, 0)
    draws = tf.random.stateless_uniform([2], seed_for("crop", seed, number))
    first = tf.floor(draws * (spare + 1))
    window = tf.minimum(tf.cast(resized, tf.int32), size)
    pixels = tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=window,
        scale=ratio,
        translation=-first,
        kernel_type="triangle",
        antialias=False,
    )
    rows, columns = (
        tf.cast(
            (tf.range(window[axis], dtype=tf.float32) + 0.5 + first[axis]) / ratio[axis], tf.int32
        )
        for axis in (0, 1)
    )
    return pixels[0], tf.gather(tf.gather(mask, rows), columns, axis=1)


def pad(image: tf.Tensor, mask: tf.Tensor, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Pad at the bottom and right to size (height, width), which neither side may exceed."""
    below, right = tf.unstack(size - tf.shape(mask)[:2])
    border = [[0, below], [0, right], [0, 0]]
    image, mask = tf.pad(image, border), tf.pad(mask, border, constant_values=VOID)
    return tf.ensure_shape(image, [*size, 3]), tf.ensure_shape(mask, [*size, 1])


def random_mirror(
    image: tf.Tensor, mask: tf.Tensor, seed: int, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Swap left and right of both in every second sample or so."""
    draw = tf.random.stateless_uniform([], seed_for("mirror", seed, number))
    axes = tf.stack([False, draw < 0.5, False])
    return tf.raw_ops.Reverse(tensor=image, dims=axes), tf.raw_ops.Reverse(tensor=mask, dims=axes)
