"""The parameters of layers that have learned nothing yet."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.seeds import seed_for

DEVIATIONS = {"fc6": 0.005, "fc7": 0.005, HEAD: 0.01}
"""Standard deviation of the filters of a layer beside trained ones, at width 1. fc8's is that of
the authors' release, fc6's and fc7's those of Caffe's reference networks."""

Shapes = Mapping[str, tuple[int, ...]]


def from_nothing(shapes: Shapes, seed: int) -> dict[str, tf.Tensor]:
    """Draw the parameters of a network of which nothing is trained: Glorot uniform, biases 0.

    shapes: by the parameters' names, HWIO and [O]. Glorot and Bengio, AISTATS 2010.
    """

    def glorot_uniform(name: str, seed: tf.Tensor) -> tf.Tensor:
        height, width, inputs, outputs = shapes[name]
        limit = (6 / (height * width * (inputs + outputs))) ** 0.5
        return tf.random.stateless_uniform(shapes[name], seed, -limit, limit)

    return _drawn(shapes, seed, glorot_uniform)


def beside_trained(shapes: Shapes, seed: int, width: float) -> dict[str, tf.Tensor]:
    """Draw small parameters for layers of DEVIATIONS, of which the layers below are trained.

    shapes: by the parameters' names. VGG-16's conv5_3 gives up to 190, where Glorot's filters are
    made for 1: the first gradients through them would be larger than the trained filters are.
    Narrower layers sum fewer numbers, so that their filters are as much larger.
    """

    def small(name: str, seed: tf.Tensor) -> tf.Tensor:
        deviation = DEVIATIONS[name[:-2]] / width**0.5
        return tf.random.stateless_normal(shapes[name], seed) * deviation

    return _drawn(shapes, seed, small)


def _drawn(
    shapes: Shapes, seed: int, filters: Callable[[str, tf.Tensor], tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Draw filters by their name and seed; biases are 0."""
    return {
        name: filters(name, seed_for(name, seed, 0)) if len(shape) == 4 else tf.zeros(shape)
        for name, shape in shapes.items()
    }
