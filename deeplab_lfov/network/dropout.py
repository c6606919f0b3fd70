"""Dropout whose masks depend on the run's seed, the sample's number and the layer alone."""

import tensorflow as tf

from deeplab_lfov.network.layers import LAYERS
from deeplab_lfov.seeds import seed_for


def mask_seeds(seed: tf.Tensor | None, num_samples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return for each layer of dropout the seeds of a batch's masks, int32 [N, 2, 2].

    seed: int [2], the run's seed and the number of the first sample. A mask's seed is an int64 [2]
    of which these are the halves, because a loop keeps int32 in the host's memory: there they are
    drawn, in one go, and there the kernels of random numbers ask for them.
    """
    if seed is None:
        raise ValueError("training with dropout needs a seed: (the run's, the first sample's)")
    layers = [layer.name for layer in LAYERS if layer.kind == "dropout"]
    with tf.device("CPU:0"):
        run, first = tf.unstack(tf.cast(seed, tf.int64))
        numbers = first + tf.range(tf.cast(num_samples, tf.int64))
        seeds = tf.map_fn(
            lambda number: tf.stack([seed_for(layer, run, number) for layer in layers]), numbers
        )
        halves = tf.unstack(tf.bitcast(seeds, tf.int32), len(layers), axis=1)
        return dict(zip(layers, halves, strict=True))


def drop(x: tf.Tensor, share: float, seeds: tf.Tensor) -> tf.Tensor:
    """Drop a share of a blob [N, h, w, C], by `mask_seeds`, and scale what is kept."""
    count, shape = tf.shape(x)[0], tf.shape(x)[1:]

    def draw(number: tf.Tensor, masks: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        with tf.device("CPU:0"):
            seed = tf.bitcast(seeds[number], tf.int64)
        kept = tf.random.stateless_uniform(shape, seed) >= share
        return number + 1, masks.write(number, kept)

    # Not tf.map_fn, which would ask the device in each turn whether to go on.
    masks = tf.TensorArray(tf.bool, count, element_shape=x.shape[1:])
    _, masks = tf.while_loop(lambda number, _: number < count, draw, (0, masks))
    return x * tf.cast(masks.stack(), x.dtype) / (1 - share)
