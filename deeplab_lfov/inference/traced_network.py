"""The network as a predictor runs it: pictures of one size, whichever, at a time."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from deeplab_lfov.inference.tiles import strips
from deeplab_lfov.network import arithmetic
from deeplab_lfov.network.large_fov import LargeFOV, PreparedLargeFOV
from deeplab_lfov.network.layers import EARLY_STRIDE, LATE, STRIDE, num_cells, parameter_shapes
from deeplab_lfov.preprocess import padded_input


class TracedNetwork:
    """A callable (pictures, size) -> scores, of the same graphs for all sizes.

    The early layers take a picture in strips, as their blobs are the largest. A model's training
    is followed. The filters of a network that is prepared are captured by the graphs as tensors, so
    that they are neither copied into them, as constants would be, nor handed over again for every
    picture.
    """

    def __init__(self, network: LargeFOV):
        channels = parameter_shapes(network.num_classes, network.width)[f"{LATE[0].name}/w"][2]
        self._dtype = network.convolutions().dtype
        # AutoGraph has nothing to convert, and takes 0.1 s to start.
        traced = functools.partial(tf.function, autograph=False)
        images = tf.TensorSpec([None, None, None, 3], tf.float32)
        pool2 = tf.TensorSpec([None, None, None, channels], self._dtype)
        self.early = traced(network.early, input_signature=[images])
        self.late = traced(network.late, input_signature=[pool2])
        # TensorFlow's passes over the graph pay in bfloat16; over prepared filters of float32 they
        # gain a few percent of a picture's time and cost the first one more than that. A live
        # network's graph has the filters' transforms too, and many steps to pay them back.
        is_prepared = isinstance(network, PreparedLargeFOV)
        self._runs_as_traced = is_prepared and self._dtype == tf.float32
        if is_prepared:  # beside the threads that prepare; what they raised is raised here
            with self._chosen_passes():
                self.early(np.zeros([1, EARLY_STRIDE + 1, EARLY_STRIDE + 1, 3], np.float32))
                self.late.get_concrete_function()

    def __call__(self, pictures: np.ndarray, size: list[int]) -> tf.Tensor:
        """Compute the scores of pictures: uint8 RGB [N, H, W, 3] -> float32 [N, h, w, C].

        They are padded to at least `size` (height, width) with the mean.
        """
        with self._chosen_passes():
            return self.late(self._pool2(padded(pictures, size)))  # the rest is freed before

    @contextmanager
    def _chosen_passes(self) -> Iterator[None]:
        """Enter to trace and to run: TensorFlow keeps an inner function's of when it was traced."""
        name, options = "disable_meta_optimizer", tf.config.optimizer
        before = options.get_experimental_options().get(name, False)
        options.set_experimental_options({name: before or self._runs_as_traced})
        try:
            yield
        finally:
            options.set_experimental_options({name: before})

    def _pool2(self, images: np.ndarray) -> tf.Tensor:
        """Put pool2 together; on GPUs, where strips were not measured, at once."""
        if arithmetic.has_gpu():
            return self.early(images)
        spans = strips(images.shape[1], self._dtype.size)
        return tf.concat([self.early(images[:, rows.pixels])[:, rows.inner] for rows in spans], 1)


def padded(pictures: np.ndarray, size: list[int]) -> np.ndarray:
    """Return what the network takes of pictures, on its grid and of at least a size.

    uint8 RGB [N, H, W, 3], (height, width) -> float32 BGR minus the mean [N, 8k+1, 8l+1, 3].
    """
    on_grid = [
        STRIDE * (num_cells(max(side, least)) - 1) + 1
        for side, least in zip(pictures.shape[1:3], size, strict=True)
    ]
    return padded_input(pictures, on_grid)
