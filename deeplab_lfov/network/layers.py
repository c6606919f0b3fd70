"""The layers of DeepLab-LargeFOV as rows of a table, and the numbers that follow from them.

VGG-16 with atrous convolutions (Chen et al., arXiv 1412.7062, section 3.1). This module needs no
TensorFlow.
"""

import itertools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple


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
    Layer("drop6", "dropout", size=1),
    Layer("fc7", "convolution", size=1, channels=1024),
    Layer("drop7", "dropout", size=1),
    Layer("fc8_voc12", "convolution", size=1),
)
"""The network in the vocabulary of the authors' train.prototxt; a ReLU follows every convolution
but the last."""

_CUT = [layer.name for layer in LAYERS].index("pool2") + 1
EARLY, LATE = LAYERS[:_CUT], LAYERS[_CUT:]
"""conv1_1 to pool2, few channels of the most pixels, and what follows."""

CONVOLUTIONS = tuple(layer for layer in LAYERS if layer.kind == "convolution")
HEAD = LAYERS[-1].name
STRIDE = math.prod(layer.stride for layer in LAYERS)
"""Pixels between two cells of the scores: 8."""

WIDTH_UNIT = 64
"""Widths are multiples of 1/64, so that every layer has a whole number of channels."""

_STRIDES = itertools.accumulate((layer.stride for layer in LAYERS), operator.mul, initial=1)
STEPS = dict(zip((layer.name for layer in LAYERS), _STRIDES, strict=False))
"""By layer name, the pixels between two neighboring cells of the layer's input."""

EARLY_STRIDE = STEPS[LATE[0].name]
"""Pixels between two cells of pool2: 4."""


def _field(layers: Sequence[Layer]) -> int:
    return 1 + sum((layer.size - 1) * layer.dilation * STEPS[layer.name] for layer in layers)


EARLY_FIELD, RECEPTIVE_FIELD = _field(EARLY), _field(LAYERS)
"""The sides in pixels of the squares that a cell of pool2 and a score depend on, in the middle of
which they sit: 19 and 435."""


def num_cells(pixels: int, stride: int = STRIDE) -> int:
    """Count the cells along a side of so many pixels, the last on or beyond its end."""
    return -(-(pixels - 1) // stride) + 1


def layers_to(name: str) -> tuple[str, ...]:
    """Name the convolutions from conv1_1 to the one of that name; raises ValueError for another."""
    names = [layer.name for layer in CONVOLUTIONS]
    return tuple(names[: names.index(name) + 1])


def parameter_shapes(num_classes: int, width: float) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by its name: HWIO of `conv1_1/w`, [O] of `conv1_1/b`.

    Raises ValueError for less than one class and a width that is not a multiple of 1/64.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if width <= 0 or width * WIDTH_UNIT % 1:
        raise ValueError(f"width must be a positive multiple of 1/{WIDTH_UNIT}, got {width}")
    shapes, inputs = {}, 3
    for layer in CONVOLUTIONS:
        outputs = int(layer.channels * width) or num_classes
        shapes[f"{layer.name}/w"] = (layer.size, layer.size, inputs, outputs)
        shapes[f"{layer.name}/b"] = (outputs,)
        inputs = outputs
    return shapes
