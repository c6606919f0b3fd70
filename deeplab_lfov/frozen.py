"""The network with the weights that it has now: faster to run, deaf to further training."""

import copy

import numpy as np
import tensorflow as tf

from deeplab_lfov.model import LAYERS, DeepLabLFOVModel, Layer
from deeplab_lfov.transforms import network_input


def padded_scores(model: DeepLabLFOVModel, picture: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """uint8 RGB [H, W, 3], padded to at least `size` with the mean -> scores float32 [h, w, C]."""
    below, right = tf.unstack(tf.maximum(size - tf.shape(picture)[:2], 0))
    image = tf.pad(network_input(picture), [[0, below], [0, right], [0, 0]])
    return model.scores(image[tf.newaxis])[0]


class FrozenNetwork:
    """A callable (picture, size) -> scores as `padded_scores` of the model as it is now.

    Filters are rounded and transformed once. It runs in a session, because a session's options hold
    for it alone: TensorFlow's passes over the graph take a second and gain nothing here.
    """

    def __init__(self, model: DeepLabLFOVModel):
        options = tf.compat.v1.ConfigProto()
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        weights = _Weights(model)
        with tf.Graph().as_default() as graph:
            frozen = copy.copy(model)
            frozen.prepared = weights.of
            picture = tf.compat.v1.placeholder(tf.uint8, [None, None, 3])
            size = tf.compat.v1.placeholder(tf.int32, [2])
            scores = padded_scores(frozen, picture, size)
        session = tf.compat.v1.Session(graph=graph, config=options)
        session.run(weights.initializers, weights.values)
        self._run = session.make_callable(scores, [picture, size])

    def __call__(self, picture: np.ndarray, size: list[int]) -> np.ndarray:
        """uint8 RGB [H, W, 3], (height, width) -> float32 [h, w, C]."""
        return self._run(picture, size)


class _Weights:
    """A model's filters and biases as variables of a graph; `initializers` fill them, fed `values`.

    As constants they would be copied with the graph, and there are 0.3 GB of them.
    """

    def __init__(self, model: DeepLabLFOVModel):
        convolutions = (layer for layer in LAYERS if layer.kind == "convolution")
        self._prepared = {
            layer.name: [np.asarray(tf.convert_to_tensor(part)) for part in model.prepared(layer)]
            for layer in convolutions
        }
        self.initializers: list[tf.Operation] = []
        self.values: dict[tf.Tensor, np.ndarray] = {}

    def of(self, layer: Layer, training: bool = False) -> tuple[tf.Tensor, ...]:
        return tuple(self._variable(value) for value in self._prepared[layer.name])

    def _variable(self, value: np.ndarray) -> tf.Tensor:
        fill = tf.compat.v1.placeholder(value.dtype, value.shape)
        variable = tf.compat.v1.Variable(fill, trainable=False)
        self.initializers.append(variable.initializer)
        self.values[fill] = value
        return variable.read_value()
