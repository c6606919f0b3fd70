"""Filters in 8 bits, with a scale for each output channel: a file of a quarter of the size.

A filter is its whole numbers of -127 to 127 times the scale of its channel, as networks are
quantized for inference (Jacob et al., arXiv 1712.05877, without zero points).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "voc_part.npz"
"""The network that comes along, as `util/export.py --int8` wrote it; its card is beside it."""
_MOST = 127
_SCALE = "/scale"


def pack(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round filters `conv1_1/w` (HWIO) to int8, and add `conv1_1/w/scale` float32 [O] for each.

    Biases stay as they are.
    """
    packed = {}
    for name, numbers in parameters.items():
        if numbers.ndim == 4:
            numbers = numbers.astype(np.float32)
            scale = np.abs(numbers).max((0, 1, 2)) / np.float32(_MOST)
            scale[scale == 0] = 1
            whole = np.rint(numbers / scale).clip(-_MOST, _MOST).astype(np.int8)
            packed |= {name: whole, name + _SCALE: scale}
        else:
            packed[name] = numbers
    return packed


def unpack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiply filters that `pack` made by their scales; other tensors stay as they are."""
    unpacked = dict(tensors)
    for name, filters in tensors.items():
        scale = tensors.get(name + _SCALE, filters)
        types, fits = (filters.dtype, scale.dtype), scale.shape == filters.shape[3:]
        if types == (np.int8, np.float32) and filters.ndim == 4 and fits:
            unpacked[name] = filters * unpacked.pop(name + _SCALE)
    return unpacked
