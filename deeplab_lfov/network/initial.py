"""The parameters of layers that have learned nothing yet."""

from collections.abc import Mapping

import tensorflow as tf

from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.seeds import seed_for

DEVIATIONS = {"fc6": 0.005, "fc7": 0.005, HEAD: 0.01}
"""Standard deviation of the filters of a layer beside trained ones, at width 1. fc8's is that of
the authors' release, fc6's and fc7's those of Caffe's reference networks."""

Shapes = Mapping[str, tuple[int, ...]]  # by the parameters' names, HWIO and [O]


def from_nothing(shapes: Shapes, seed: int) -> dict[str, tf.Tensor]:
    """Draw the parameters of a network of which nothing is trained: Glorot uniform, biases 0.

    Glorot and Bengio, AISTATS 2010.
    """
    values = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            values[name] = tf.zeros(shape)
        else:
            height, width, inputs, outputs = shape
            limit = (6 / (height * width * (inputs + outputs))) ** 0.5
            seeds = seed_for(name, seed, 0)
            values[name] = tf.random.stateless_uniform(shape, seeds, -limit, limit)
    return values


def beside_trained(shapes: Shapes, seed: int, width: float) -> dict[str, tf.Tensor]:
    """Draw small parameters for layers of DEVIATIONS, of which the layers below are trained.

    VGG-16's conv5_3 gives up to 190, where Glorot's filters are made for 1: the first gradients
    through them would be larger than the trained filters are. Narrower layers sum fewer numbers,
    so that their filters are as much larger.
    """
    values = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            values[name] = tf.zeros(shape)
        else:
            deviation = DEVIATIONS[name[:-2]] / width**0.5
            normal = tf.random.stateless_normal(shape, seed_for(name, seed, 0))
            values[name] = normal * deviation
    return values
