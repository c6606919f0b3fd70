"""DeepLab-LargeFOV: VGG-16 with atrous convolutions (Chen et al., arXiv 1412.7062, section 3.1).

image [N, 8k+1, 8l+1, 3]  -> conv1 pool1 ... pool3 -> 1/8 of the pixels, cell (i, j) on (8i, 8j)
                          -> conv4 pool4 conv5 pool5 pool5a -> still 1/8: stride 1, dilation 2
                          -> fc6 (dilation 12) fc7 fc8_voc12 -> scores [N, k+1, l+1, C]
"""

import secrets
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from deeplab_lfov.limits import PRECISIONS
from deeplab_lfov.network import arithmetic
from deeplab_lfov.network.dropout import drop, mask_seeds
from deeplab_lfov.network.engine import Convolutions
from deeplab_lfov.network.grid import likeliest_labels, pad_to_grid, upsample_scores
from deeplab_lfov.network.layers import HEAD, LAYERS, Layer, parameter_shapes
from deeplab_lfov.network.loss import cross_entropy, total_weight
from deeplab_lfov.seeds import seed_for


class DeepLabLFOVModel(tf.Module):
    """The network with its parameters, `parameters["conv1_1/w"]` (HWIO) to `["fc8_voc12/b"]`.

    width scales the hidden layers' channels (1.0 is VGG-16; a multiple of 1/64); dropout is the
    share of fc6 and fc7 dropped in training; precision is what the convolutions compute in
    ("float32", "tensorfloat32", "bfloat16" or "float16"), everything else staying float32. Filters
    start as Glorot uniform drawn from `seed` (from the system's entropy if None), biases at 0; or
    all of them as `initial` gives them by name. Raises ValueError for a number out of range and for
    an initial value that is missing or misshapen, and UserError as `arithmetic.choose` does.
    """

    def __init__(
        self,
        num_classes: int = 21,
        width: float = 1.0,
        *,
        dropout: float = 0.5,
        precision: str = "float32",
        seed: int | None = None,
        initial: Mapping[str, np.ndarray] | None = None,
    ):
        super().__init__(name="deeplab_lfov")
        shapes = parameter_shapes(num_classes, width)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {precision}")
        self.num_classes, self.width, self.dropout = num_classes, width, dropout
        arithmetic.choose(precision)
        self.precision, self.dtype = precision, arithmetic.dtype_of(precision)
        seed = secrets.randbits(31) if seed is None else seed
        values = _drawn(shapes, seed) if initial is None else _checked(initial, shapes)
        self.parameters = {
            name: tf.Variable(value, dtype=tf.float32, name=name) for name, value in values.items()
        }

    @property
    def num_parameters(self) -> int:
        """How many numbers the network learns: 20,505,429 for 21 classes at width 1.0."""
        return sum(variable.shape.num_elements() for variable in self.parameters.values())

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
        """Yield (layer name, output [N, h, w, channels]) from conv1_1 to fc8_voc12.

        Arguments as for `scores`; outputs in the model's type, after the ReLU if any.
        """
        convolutions = convolutions or Convolutions(self.parameters, self.dtype, training)
        x, tilings = convolutions.rounded(pad_to_grid(images)), {}
        drops = training and self.dropout
        seeds = self._mask_seeds(tf.shape(x)[0], seed) if drops else {}
        for layer in LAYERS:
            if layer.kind == "convolution":
                x = convolutions.apply(x, layer, tilings)
                x = x if layer.name == HEAD else tf.nn.relu(x)
            elif layer.kind == "max_pool":
                x = tf.nn.max_pool2d(x, layer.size, layer.stride, "SAME")  # (1, 1) on odd sizes
            elif layer.kind == "average_pool":
                x = convolutions.rounded(_average_pool(x, layer))
            elif drops:
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
        comes in. convolutions: how, and with which filters; by default the fastest known, with
        the model's own.
        """
        *_, (_, scores) = self.blobs(images, training, seed, convolutions)
        return tf.cast(scores, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def preds(self, images: tf.Tensor) -> tf.Tensor:
        """Label pictures: float32 BGR minus the mean [N, H, W, 3], any size -> uint8 [N, H, W, 1].

        In plain operations, as `tf.saved_model.save` of a model takes this along.
        """
        scores = self.scores(images, convolutions=self.plain_convolutions())
        pixels = upsample_scores(scores, *tf.unstack(tf.shape(images)[1:3]))
        return likeliest_labels(pixels)[..., tf.newaxis]

    def plain_convolutions(self) -> Convolutions:
        """Return the network's convolutions in plain operations, which any machine can run."""
        return Convolutions(self.parameters, self.dtype, plain=True)

    def loss(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
        class_weights: tf.Tensor | None = None,
        weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Compute the mean softmax cross-entropy float32 [] over the cells that are not void.

        images and seed as for `scores`; labels uint8 [N, H, W, 1]; class_weights float32 [C] weigh
        the cells. weight is what the sum is divided by, for images that are a part of a batch: the
        `total_weight` of all its labels. 0 where every cell is void.
        """
        if weight is None:
            weight = total_weight(labels, class_weights)
        scores = self.scores(images, training, seed)
        return tf.math.divide_no_nan(cross_entropy(scores, labels, class_weights), weight)

    def _mask_seeds(self, num_samples: tf.Tensor, seed: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Return the seeds of the masks by layer, as `mask_seeds`."""
        if seed is None:
            raise ValueError("training with dropout needs a seed: (the run's, the first sample's)")
        layers = [layer.name for layer in LAYERS if layer.kind == "dropout"]
        return dict(zip(layers, mask_seeds(layers, seed, num_samples), strict=True))


def _checked(
    initial: Mapping[str, np.ndarray], shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    for name, shape in shapes.items():
        if name not in initial or np.shape(initial[name]) != shape:
            raise ValueError(f"initial has no {name} of shape {shape}")
    return {name: initial[name] for name in shapes}


def _drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, tf.Tensor]:
    return {
        name: _glorot_uniform(shape, seed_for(name, seed, 0))
        if len(shape) == 4
        else tf.zeros(shape)
        for name, shape in shapes.items()
    }


def _glorot_uniform(shape: tuple[int, int, int, int], seed: tf.Tensor) -> tf.Tensor:
    height, width, inputs, outputs = shape
    limit = (6 / (height * width * (inputs + outputs))) ** 0.5
    return tf.random.stateless_uniform(shape, seed, -limit, limit)


def _average_pool(x: tf.Tensor, layer: Layer) -> tf.Tensor:
    """Average as Caffe does: at the border the padding's zeros count, unlike TensorFlow's SAME."""
    border = layer.size // 2
    x = tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
    return tf.nn.avg_pool2d(x, layer.size, layer.stride, "VALID")
