"""The network with the weights that it has now: faster to run, deaf to further training."""

import copy

import numpy as np
import tensorflow as tf

from deeplab_lfov.model import CONVOLUTIONS, DeepLabLFOVModel, Layer
from deeplab_lfov.transforms import network_input


def padded_scores(model: DeepLabLFOVModel, picture: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """uint8 RGB [H, W, 3], padded to at least `size` with the mean -> scores float32 [h, w, C]."""
    below, right = tf.unstack(tf.maximum(size - tf.shape(picture)[:2], 0))
    image = tf.pad(network_input(picture), [[0, below], [0, right], [0, 0]])
    return model.scores(image[tf.newaxis])[0]


class FrozenNetwork:
    """A callable (picture, size) -> scores as `padded_scores` of the model as it is now.

    Filters are rounded and transformed once, and fed to a graph that is kept small: as constants
    they would be copied with it, and there are 0.3 GB of them. It runs in a session, because a
    session's options hold for it alone: TensorFlow's passes over the graph take a second and gain
    nothing here.
    """

    def __init__(self, model: DeepLabLFOVModel):
        options = tf.compat.v1.ConfigProto()
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        self._weights = [
            np.asarray(part) for layer in CONVOLUTIONS for part in _parts(model, layer)
        ]
        with tf.Graph().as_default() as graph:
            fed = [tf.compat.v1.placeholder(part.dtype, part.shape) for part in self._weights]
            pairs = zip(fed[::2], fed[1::2], strict=True)
            of_layer = dict(zip(CONVOLUTIONS, pairs, strict=True))
            frozen = copy.copy(model)
            frozen.prepared = lambda layer, training=False: of_layer[layer]
            picture = tf.compat.v1.placeholder(tf.uint8, [None, None, 3])
            size = tf.compat.v1.placeholder(tf.int32, [2])
            scores = padded_scores(frozen, picture, size)
        session = tf.compat.v1.Session(graph=graph, config=options)
        self._run = session.make_callable(scores, [picture, size, *fed])

    def __call__(self, picture: np.ndarray, size: list[int]) -> np.ndarray:
        """uint8 RGB [H, W, 3], (height, width) -> float32 [h, w, C]."""
        return self._run(picture, size, *self._weights)


def _parts(model: DeepLabLFOVModel, layer: Layer) -> list[tf.Tensor]:
    """A layer's filters and biases as its convolution takes them, as values and not variables."""
    return [tf.convert_to_tensor(part) for part in model.prepared(layer)]
