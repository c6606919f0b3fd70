"""DeepLab-LargeFOV: VGG-16 with atrous convolutions (Chen et al., arXiv 1412.7062, section 3.1).

image [N, 8k+1, 8l+1, 3]  -> conv1 pool1 ... pool3 -> 1/8 of the pixels, cell (i, j) on (8i, 8j)
                          -> conv4 pool4 conv5 pool5 pool5a -> still 1/8: stride 1, dilation 2
                          -> fc6 (dilation 12) fc7 fc8_voc12 -> scores [N, k+1, l+1, C]
"""

import copy
import secrets
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_lfov import winograd
from deeplab_lfov.convolution import (
    convolution,
    pays_by_winograd,
    round_to_bfloat16,
    type_to_compute,
)
from deeplab_lfov.objective import (
    cross_entropy,
    label_weights,
    likeliest_labels,
    pad_to_grid,
    shrink_labels,
)
from deeplab_lfov.seeds import seed_for


class Layer(NamedTuple):
    """One row of the network: what it does, and the numbers that it needs to do it."""

    name: str
    kind: str
    size: int = 3
    stride: int = 1
    dilation: int = 1
    channels: int = 0  # at width 1.0; 0 in a convolution stands for the number of classes


LAYERS = (
    Layer("conv1_1", "convolution", channels=64),
    Layer("conv1_2", "convolution", channels=64),
    Layer("pool1", "max_pool", stride=2),
    Layer("conv2_1", "convolution", channels=128),
    Layer("conv2_2", "convolution", channels=128),
    Layer("pool2", "max_pool", stride=2),
    Layer("conv3_1", "convolution", channels=256),
    Layer("conv3_2", "convolution", channels=256),
    Layer("conv3_3", "convolution", channels=256),
    Layer("pool3", "max_pool", stride=2),
    Layer("conv4_1", "convolution", channels=512),
    Layer("conv4_2", "convolution", channels=512),
    Layer("conv4_3", "convolution", channels=512),
    Layer("pool4", "max_pool"),
    Layer("conv5_1", "convolution", dilation=2, channels=512),
    Layer("conv5_2", "convolution", dilation=2, channels=512),
    Layer("conv5_3", "convolution", dilation=2, channels=512),
    Layer("pool5", "max_pool"),
    Layer("pool5a", "average_pool"),
    Layer("fc6", "convolution", dilation=12, channels=1024),
    Layer("drop6", "dropout"),
    Layer("fc7", "convolution", size=1, channels=1024),
    Layer("drop7", "dropout"),
    Layer("fc8_voc12", "convolution", size=1),
)
"""The network in the vocabulary of the authors' train.prototxt; a ReLU follows every convolution
but the last."""

CONVOLUTIONS = tuple(layer for layer in LAYERS if layer.kind == "convolution")
HEAD = LAYERS[-1].name
WIDTH_UNIT = 64
"""Widths are multiples of 1/64, so that every layer has a whole number of channels."""


def filter_shapes(num_classes: int, width: float) -> dict[str, tuple[int, int, int, int]]:
    """The HWIO shape of every convolution's filters by layer name.

    Raises ValueError for less than one class and a width that is not a multiple of 1/64.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if width <= 0 or width * WIDTH_UNIT % 1:
        raise ValueError(f"width must be a positive multiple of 1/{WIDTH_UNIT}, got {width}")
    shapes, inputs = {}, 3
    for layer in CONVOLUTIONS:
        outputs = int(layer.channels * width) or num_classes
        shapes[layer.name] = (layer.size, layer.size, inputs, outputs)
        inputs = outputs
    return shapes


def parameter_shapes(num_classes: int, width: float) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, HWIO of `conv1_1/w` and [O] of `conv1_1/b`, by its name.

    Raises ValueError as `filter_shapes` does.
    """
    shapes = {}
    for layer, shape in filter_shapes(num_classes, width).items():
        shapes |= {f"{layer}/w": shape, f"{layer}/b": shape[-1:]}
    return shapes


class DeepLabLFOVModel(tf.Module):
    """The network with its parameters, `parameters["conv1_1/w"]` (HWIO) to `["fc8_voc12/b"]`.

    width scales the hidden layers' channels (1.0 is VGG-16; a multiple of 1/64); dropout is the
    share of fc6 and fc7 dropped in training; precision is the type the convolutions compute in
    ("float32", "bfloat16" or "float16"), everything else staying float32. Filters start as Glorot
    uniform drawn from `seed` (from the system's entropy if None), biases at 0; or all of them as
    `initial` gives them by name. Raises ValueError for a number out of range and for an initial
    value that is missing or misshapen.
    """

    def __init__(
        self,
        num_classes: int = 21,
        width: float = 1.0,
        dropout: float = 0.5,
        precision: str = "float32",
        seed: int | None = None,
        initial: Mapping[str, np.ndarray] | None = None,
    ):
        super().__init__(name="deeplab_lfov")
        shapes = parameter_shapes(num_classes, width)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if precision not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"precision must be float32, bfloat16 or float16, got {precision}")
        self.num_classes, self.width, self.dropout = num_classes, width, dropout
        self.precision = tf.as_dtype(precision)
        self.portable = False  # see `as_portable`
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
        """What kind of network it is, in a line."""
        return (
            f"{self.num_parameters:,} parameters, {self.num_classes} classes, "
            f"width {self.width:g}, {self.precision.name}"
        )

    def blobs(
        self, images: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None
    ) -> Iterator[tuple[str, tf.Tensor]]:
        """Yield (layer name, output [N, h, w, channels]) from conv1_1 to fc8_voc12.

        Arguments as for `scores`; outputs in the model's precision, after the ReLU if any.
        """
        x, step, tilings = self._rounded(pad_to_grid(images)), 1, {}
        for layer in LAYERS:
            if layer.kind == "convolution" and self.by_winograd(layer, training):
                place = (step, layer.dilation)  # layers of the same share their tiles
                if place not in tilings:
                    channels = self.parameters[f"{layer.name}/b"].shape[0]
                    tilings[place] = winograd.tiling(tf.shape(x), layer.dilation, channels)
                x = self._convolution(x, layer, training, tilings[place])
            elif layer.kind == "convolution":
                x = self._convolution(x, layer, training)
            elif layer.kind == "max_pool":
                x = tf.nn.max_pool2d(x, layer.size, layer.stride, "SAME")  # (1, 1) on odd sizes
            elif layer.kind == "average_pool":
                x = self._rounded(_average_pool(x, layer))
            elif training and self.dropout:
                x = self._dropout(x, layer, seed)
            step *= layer.stride
            yield layer.name, x

    @tf.autograph.experimental.do_not_convert
    def scores(
        self, images: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """float32 BGR minus the mean [N, 8k+1, 8l+1, 3] -> unnormalised scores [N, k+1, l+1, C].

        Other sizes are padded with zeros (the mean) at the bottom and right. In training `seed` is
        an int [2], the run's seed and the number of the batch's first sample: sample i is dropped
        out by (seed, number + i), whatever batch it comes in.
        """
        *_, (_, scores) = self.blobs(images, training, seed)
        return tf.cast(scores, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def preds(self, images: tf.Tensor) -> tf.Tensor:
        """float32 BGR minus the mean [N, H, W, 3], any size -> labels uint8 [N, H, W, 1].

        In plain operations, as `tf.saved_model.save` of a model takes this along.
        """
        height, width = tf.unstack(tf.shape(images)[1:3])
        return likeliest_labels(self.as_portable().scores(images), height, width)

    def as_portable(self) -> "DeepLabLFOVModel":
        """The network with the same variables in plain operations, which any machine can run."""
        portable = copy.copy(self)
        portable.portable = True
        return portable

    def loss(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Mean softmax cross-entropy float32 [] over the non-void cells of the whole batch.

        images and seed as for `scores`; labels uint8 [N, H, W, 1]. 0 where every cell is void.
        """
        scores, labels = self.scores(images, training, seed), shrink_labels(labels)
        weight = tf.reduce_sum(label_weights(labels))
        return tf.math.divide_no_nan(cross_entropy(scores, labels), weight)

    def prepared(self, layer: Layer, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """A layer's filters and biases as its convolution takes them, in the model's precision.

        HWIO and [O]; the filters of `winograd` outside training are `transformed`, [36, I, O].
        """
        filters, bias = (self._rounded(self.parameters[f"{layer.name}/{part}"]) for part in "wb")
        if not training and self.by_winograd(layer, training):
            filters = winograd.transformed(filters)
        return filters, bias

    def by_winograd(self, layer: Layer, training: bool = False) -> bool:
        """Whether a layer is convolved by Winograd's algorithm, on this machine."""
        shape = tuple(self.parameters[f"{layer.name}/w"].shape)
        dtype = self._type_to_compute
        return not self.portable and pays_by_winograd(shape, layer.dilation, dtype, training)

    def _convolution(
        self, x: tf.Tensor, layer: Layer, training: bool, tiling: winograd.Tiling | None = None
    ) -> tf.Tensor:
        filters, bias = self.prepared(layer, training)
        if tiling:
            x = winograd.convolution(x, filters, tiling)
        else:
            x = convolution(x, filters, layer.dilation)
        x = self._rounded(tf.nn.bias_add(x, bias))
        return x if layer.name == HEAD else tf.nn.relu(x)

    def _rounded(self, x: tf.Tensor) -> tf.Tensor:
        """x in the model's precision, held in the type that is computed in."""
        if self._type_to_compute == self.precision:
            return tf.cast(x, self.precision)
        return round_to_bfloat16(x)

    @property
    def _type_to_compute(self) -> tf.DType:
        return self.precision if self.portable else type_to_compute(self.precision)

    def _dropout(self, x: tf.Tensor, layer: Layer, seed: tf.Tensor | None) -> tf.Tensor:
        if seed is None:
            raise ValueError("training with dropout needs a seed: (the run's, the first sample's)")
        run, first = tf.unstack(tf.cast(seed, tf.int64))
        kept = tf.map_fn(
            lambda number: (
                tf.random.stateless_uniform(tf.shape(x)[1:], seed_for(layer.name, run, number))
                >= self.dropout
            ),
            first + tf.range(tf.shape(x, tf.int64)[0]),
            fn_output_signature=tf.bool,
        )
        return x * tf.cast(kept, x.dtype) / (1 - self.dropout)


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
    """Caffe's: the border's averages count the padding's zeros, unlike TensorFlow's SAME."""
    border = layer.size // 2
    x = tf.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
    return tf.nn.avg_pool2d(x, layer.size, layer.stride, "VALID")
