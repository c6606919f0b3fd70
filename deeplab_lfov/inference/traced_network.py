"""The network as a predictor runs it: pictures of one size, whichever, at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import tensorflow as tf

from deeplab_lfov.network.large_fov import LargeFOV, PreparedLargeFOV
from deeplab_lfov.preprocess import network_input


def padded_scores(network: LargeFOV, pictures: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Compute the scores of pictures: uint8 RGB [N, H, W, 3] -> float32 [N, h, w, C].

    They are padded to at least `size` (height, width) with the mean.
    """
    below, right = tf.unstack(tf.maximum(size - tf.shape(pictures)[1:3], 0))
    padded = tf.pad(network_input(pictures), [[0, 0], [0, below], [0, right], [0, 0]])
    return network.scores(padded)


class TracedNetwork:
    """A callable (pictures, size) -> `padded_scores`, of one graph for all sizes.

    A model's training is followed. The filters of a network that is prepared are captured by the
    graph as tensors, so that they are neither copied into it, as constants would be, nor handed
    over again for every picture.
    """

    def __init__(self, network: LargeFOV):
        self._scores = tf.function(
            lambda pictures, size: padded_scores(network, pictures, size),
            input_signature=[
                tf.TensorSpec([None, None, None, 3], tf.uint8),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,  # nothing to convert, and it takes 0.1 s to start
        )
        # TensorFlow's passes over the graph pay in bfloat16; over prepared filters of float32 they
        # gain a few percent of a picture's time and cost the first one more than that. A live
        # network's graph has the filters' transforms too, and many steps to pay them back.
        is_prepared = isinstance(network, PreparedLargeFOV)
        self._runs_as_traced = is_prepared and network.convolutions().dtype == tf.float32

    def __call__(self, pictures: np.ndarray, size: list[int]) -> tf.Tensor:
        """Compute scores: uint8 RGB [N, H, W, 3], (height, width) -> float32 [N, h, w, C]."""
        with _without_graph_passes() if self._runs_as_traced else nullcontext():
            return self._scores(pictures, size)


@contextmanager
def _without_graph_passes() -> Iterator[None]:
    options = tf.config.optimizer.get_experimental_options()
    before = options.get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})
