"""The network with its weights as constants of a graph: faster to run, deaf to further training.

Convolutions whose filters are constants keep them in the layout that the processor likes best, and
take bias and ReLU into the same pass.
"""

import copy

import numpy as np
import tensorflow as tf

from deeplab_lfov import winograd
from deeplab_lfov.model import LAYERS, DeepLabLFOVModel, Layer
from deeplab_lfov.transforms import network_input


def padded_scores(model: DeepLabLFOVModel, picture: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """uint8 RGB [H, W, 3], padded to at least `size` with the mean -> scores float32 [h, w, C]."""
    below, right = tf.unstack(tf.maximum(size - tf.shape(picture)[:2], 0))
    image = tf.pad(network_input(picture), [[0, below], [0, right], [0, 0]])
    return model.scores(image[tf.newaxis])[0]


class FrozenNetwork:
    """A callable (picture, size) -> scores as `padded_scores` of the model as it is now.

    It runs in a session, because a session's options hold for it alone: of TensorFlow's passes over
    the graph, which each copy all constants, only the one that joins operations is wanted.
    """

    def __init__(self, model: DeepLabLFOVModel):
        options = tf.compat.v1.ConfigProto()
        options.graph_options.rewrite_options.optimizers.append("remap")
        weights = _Weights(model)
        with tf.Graph().as_default() as graph:
            constants = copy.copy(model)
            constants.prepared = weights.of
            picture = tf.compat.v1.placeholder(tf.uint8, [None, None, 3])
            size = tf.compat.v1.placeholder(tf.int32, [2])
            scores = padded_scores(constants, picture, size)
        session = tf.compat.v1.Session(graph=graph, config=options)
        session.run(weights.initializers, weights.values)  # at once: every first run takes time
        self._run = session.make_callable(scores, [picture, size])

    def __call__(self, picture: np.ndarray, size: list[int]) -> np.ndarray:
        """uint8 RGB [H, W, 3], (height, width) -> float32 [h, w, C]."""
        return self._run(picture, size)


class _Weights:
    """Filters and biases in a graph: constants, but filters that are transformed variables.

    Those are large, and gain nothing from being constant. `initializers` fill them, fed `values`.
    """

    def __init__(self, model: DeepLabLFOVModel):
        self._model = model
        self._parameters = {
            layer.name: [part.numpy() for part in model.rounded_parameters(layer)]
            for layer in LAYERS
            if layer.kind == "convolution"
        }
        self.initializers: list[tf.Operation] = []
        self.values: dict[tf.Tensor, np.ndarray] = {}

    def of(self, layer: Layer, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        filters, bias = self._parameters[layer.name]
        make = self._transformed if self._model.by_winograd(layer) else tf.constant
        return make(filters), tf.constant(bias)

    def _transformed(self, filters: np.ndarray) -> tf.Tensor:
        fill = tf.compat.v1.placeholder(filters.dtype, filters.shape)
        variable = tf.compat.v1.Variable(winograd.transformed(fill), trainable=False)
        self.initializers.append(variable.initializer)
        self.values[fill] = filters
        return variable.read_value()
