"""Every random draw of a run is a function of (the run's seed, the sample's number, the purpose).

So a run that is resumed at a step, or split over several devices, draws what one uninterrupted
process would have drawn: there is no generator whose state could be lost.
"""

import zlib

import tensorflow as tf


def seed_for(purpose: str, seed: int | tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Make the seed of one stateless draw, int64 [2], for `purpose` in sample or epoch `number`."""
    pair = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
    return tf.random.experimental.stateless_fold_in(pair, zlib.crc32(purpose.encode()))
