"""DeepLab-LargeFOV: VGG-16 with atrous convolutions (Chen et al., arXiv 1412.7062, section 3.1).

image [N, 8k+1, 8l+1, 3]  -> conv1 pool1 ... pool3 -> 1/8 of the pixels, cell (i, j) on (8i, 8j)
                          -> conv4 pool4 conv5 pool5 pool5a -> still 1/8: stride 1, dilation 2
                          -> fc6 (dilation 12) fc7 fc8_voc12 -> scores [N, k+1, l+1, C]
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from deeplab_lfov.network import arithmetic
from deeplab_lfov.network.dropout import drop, mask_seeds
from deeplab_lfov.network.engine import Convolutions, PreparedConvolutions, TensorLike
from deeplab_lfov.network.grid import pad_to_grid
from deeplab_lfov.network.layers import EARLY, HEAD, LATE, LAYERS, Layer, parameter_shapes
from deeplab_lfov.settings import PRECISIONS


class LargeFOV:
    """The walk over the layers, by the `convolutions` that a subclass gives.

    width scales the hidden layers' channels (1.0 is VGG-16; a multiple of 1/64); dropout is the
    share of fc6 and fc7 dropped in training; precision is what the convolutions compute in
    ("float32", "tensorfloat32", "bfloat16" or "float16"), everything else staying float32. Raises
    ValueError for a number out of range, and UserError as `arithmetic.choose` does.
    """

    def __init__(self, num_classes: int, width: float, dropout: float, precision: str):
        parameter_shapes(num_classes, width)  # which raises
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {precision}")
        self.num_classes, self.width, self.dropout = num_classes, width, dropout
        arithmetic.choose(precision)
        self.precision, self.dtype = precision, arithmetic.dtype_of(precision)

    def convolutions(self, training: bool = False) -> Convolutions:
        """Return the fastest convolutions known, with the network's own parameters."""
        raise NotImplementedError

    @property
    def num_parameters(self) -> int:
        """How many numbers the network learns: 20,505,429 for 21 classes at width 1.0."""
        return sum(map(math.prod, parameter_shapes(self.num_classes, self.width).values()))

    def __str__(self) -> str:
        """Say what kind of network it is, in a line."""
        return (
            f"{self.num_parameters:,} parameters, {self.num_classes} classes, "
            f"width {self.width:g}, {self.precision}"
        )

    def blobs(
        self,
        images: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
        convolutions: Convolutions | None = None,
    ) -> Iterator[tuple[str, tf.Tensor]]:
        """Yield (layer name, output [N, h, w, channels]) from conv1_1 to fc8_voc12, after the ReLU.

        Arguments as for `scores`. In training the first is conv1_2, and gradients that pass it
        have no gradients.
        """
        convolutions = convolutions or self.convolutions(training)
        seeds = mask_seeds(seed, tf.shape(images)[0]) if training and self.dropout else {}
        x, layers = convolutions.rounded(pad_to_grid(images)), LAYERS
        if training:
            conv1_1, conv1_2, *layers = LAYERS
            x = _not_keeping_the_first(x, conv1_1, conv1_2, convolutions)
            yield conv1_2.name, x
        yield from self._walk(x, layers, convolutions, seeds)

    def early(self, images: tf.Tensor) -> tf.Tensor:
        """Compute pool2 for inference: images of 4k+1 by 4l+1 -> [N, k+1, l+1, 128 x width]."""
        convolutions = self.convolutions()
        return _last(self._walk(convolutions.rounded(images), EARLY, convolutions))

    def late(self, pool2: tf.Tensor) -> tf.Tensor:
        """Compute the scores, as `scores`, of what `early` gave."""
        return tf.cast(_last(self._walk(pool2, LATE, self.convolutions())), tf.float32)

    def _walk(
        self,
        x: tf.Tensor,
        layers: Sequence[Layer],
        convolutions: Convolutions,
        seeds: Mapping[str, tf.Tensor] | None = None,
    ) -> Iterator[tuple[str, tf.Tensor]]:
        tilings = {}
        for layer in layers:
            if layer.kind == "convolution":
                x = convolutions.apply(x, layer, tilings)
                x = x if layer.name == HEAD else tf.nn.relu(x)
            elif layer.kind == "max_pool":
                x = tf.nn.max_pool2d(x, layer.size, layer.stride, "SAME")  # (1, 1) on odd sizes
            elif layer.kind == "average_pool":
                x = convolutions.rounded(_average_pool(x, layer))
            elif seeds:
                x = drop(x, self.dropout, seeds[layer.name])
            yield layer.name, x

    @tf.autograph.experimental.do_not_convert
    def scores(
        self,
        images: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
        convolutions: Convolutions | None = None,
    ) -> tf.Tensor:
        """Compute scores: float32 BGR minus the mean [N, 8k+1, 8l+1, 3] -> [N, k+1, l+1, C].

        They are float32 and not normalised. Other sizes are padded with zeros (the mean) at the
        bottom and right. In training `seed` is an int [2], the run's seed and the number of the
        batch's first sample: sample i is dropped out by (seed, number + i), whatever batch it
        comes in. convolutions: how, and with which filters; by default `self.convolutions`.
        """
        return tf.cast(_last(self.blobs(images, training, seed, convolutions)), tf.float32)


class PreparedLargeFOV(LargeFOV):
    """The network for inference alone: its parameters are prepared once, and kept no other way.

    parameters: of all layers by name; threads take them out while the caller goes on.
    """

    def __init__(
        self,
        parameters: dict[str, TensorLike],
        num_classes: int,
        width: float,
        precision: str = "float32",
    ):
        super().__init__(num_classes, width, 0.0, precision)
        self._convolutions = PreparedConvolutions(parameters, self.dtype)

    def convolutions(self, training: bool = False) -> Convolutions:
        """Return those that were prepared; raises ValueError for training."""
        if training:
            raise ValueError("what is prepared cannot be trained; load_model gives a model")
        return self._convolutions


def _not_keeping_the_first(
    x: tf.Tensor, first: Layer, second: Layer, convolutions: Convolutions
) -> tf.Tensor:
    """Compute two convolutions for training, which keeps every other blob for the gradients.

    conv1_1, as large as any and the cheapest by far, is computed again. The last ReLU's gradient
    needs its output alone, which is kept anyway. Parameters have to be variables.
    """

    def before_relu(x: tf.Tensor) -> tf.Tensor:
        return convolutions.apply(tf.nn.relu(convolutions.apply(x, first, {})), second, {})

    return tf.nn.relu(tf.recompute_grad(before_relu)(x))


def _last(blobs: Iterator[tuple[str, tf.Tensor]]) -> tf.Tensor:
    *_, (_, blob) = blobs
    return blob


def _average_pool(x: tf.Tensor, layer: Layer) -> tf.Tensor:
    """Average as Caffe does: at the border the padding's zeros count, unlike TensorFlow's SAME."""
    border = layer.size // 2
    x = tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
    return tf.nn.avg_pool2d(x, layer.size, layer.stride, "VALID")
