"""The network with the weights that it has now: faster to run, deaf to further training."""

import copy
from itertools import chain

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

    The filters are transformed for Winograd's algorithm once, and fed, as constants would be copied
    with the graph several times. It runs in a session, because a session's options hold for it
    alone: TensorFlow's passes over the graph take longer than they save.
    """

    def __init__(self, model: DeepLabLFOVModel):
        options = tf.compat.v1.ConfigProto()
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        weights = {layer: _weights(model, layer) for layer in CONVOLUTIONS}
        with tf.Graph().as_default() as graph:
            fed = {layer: [_placeholder(part) for part in weights[layer]] for layer in weights}
            frozen = copy.copy(model)
            frozen.prepared = lambda layer, training=False: fed[layer]
            picture = tf.compat.v1.placeholder(tf.uint8, [None, None, 3])
            size = tf.compat.v1.placeholder(tf.int32, [2])
            scores = padded_scores(frozen, picture, size)
        session = tf.compat.v1.Session(graph=graph, config=options)
        self._run = session.make_callable(scores, [picture, size, *chain(*fed.values())])
        self._fed = list(chain(*weights.values()))

    def __call__(self, picture: np.ndarray, size: list[int]) -> np.ndarray:
        """uint8 RGB [H, W, 3], (height, width) -> float32 [h, w, C]."""
        return self._run(picture, size, *self._fed)


def _placeholder(array: np.ndarray) -> tf.Tensor:
    return tf.compat.v1.placeholder(array.dtype, array.shape)


def _weights(model: DeepLabLFOVModel, layer: Layer) -> list[np.ndarray]:
    """A layer's filters and biases as its convolution takes them: views of the tensors."""
    return [np.asarray(tf.convert_to_tensor(part)) for part in model.prepared(layer)]
