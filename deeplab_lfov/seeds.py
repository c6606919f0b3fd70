"""Every random draw of a run is a function of (the run's seed, the sample's number, the purpose).

So a run that is resumed at a step, or split over several devices, draws what one uninterrupted
process would have drawn: there is no generator whose state could be lost.
"""

import functools
import zlib

import numpy as np
import tensorflow as tf


def seed_for(purpose: str, seed: int | tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Make the seed of one stateless draw, int64 [2], for `purpose` in sample or epoch `number`."""
    pair = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
    return tf.random.experimental.stateless_fold_in(pair, zlib.crc32(purpose.encode()))


@functools.lru_cache(maxsize=4)
def order_of(seed: int, epoch: int, size: int) -> np.ndarray:
    """Return the order of an epoch's samples, int64 [size]; all bits of seed and epoch count."""
    # NumPy keeps Philox's bits the same in all versions, unlike what its generators make of them.
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(size)
    return np.argsort(bits, kind="stable")
