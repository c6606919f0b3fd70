"""Predictor: pictures in, scores and labels out."""

import numpy as np
import tensorflow as tf

from deeplab_lfov.model import DeepLabLFOVModel
from deeplab_lfov.objective import upsample_scores
from deeplab_lfov.transforms import network_input


class Predictor:
    """Segment pictures of any size with one graph: `predictor(image)` is the mask.

    image: uint8 RGB [H, W, 3]; mask: uint8 labels [H, W].
    """

    def __init__(self, model: DeepLabLFOVModel):
        self.model = model

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 RGB [H, W, 3] -> uint8 [H, W], the label with the highest score at every pixel."""
        return self._labels(image).numpy()

    def scores(self, image: np.ndarray) -> np.ndarray:
        """uint8 RGB [H, W, 3] -> float32 [H, W, C], unnormalised."""
        return self._scores(image).numpy()

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def _scores(self, image: tf.Tensor) -> tf.Tensor:
        height, width = tf.unstack(tf.shape(image)[:2])
        scores = self.model.scores(network_input(image)[tf.newaxis])
        return upsample_scores(scores, height, width)[0]

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def _labels(self, image: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.argmax(self._scores(image), axis=-1), tf.uint8)
