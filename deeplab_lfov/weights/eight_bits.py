"""Filters in 8 bits, with a scale for each output channel: a file of a quarter of the size.

A filter is its whole numbers of -127 to 127 times the scale of its channel, as networks are
quantized for inference (Jacob et al., arXiv 1712.05877, without zero points).
"""

from collections.abc import Mapping

import numpy as np

_MOST = 127
_SCALE = "/scale"


def pack(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round filters `conv1_1/w` (HWIO) to int8, and add `conv1_1/w/scale` float32 [O] for each.

    Biases stay as they are.
    """
    packed = {}
    for name, numbers in parameters.items():
        if numbers.ndim == 4:
            scale = np.abs(numbers).max((0, 1, 2)) / _MOST
            scale[scale == 0] = 1
            packed |= {name: np.rint(numbers / scale).astype(np.int8)}
            packed |= {name + _SCALE: scale.astype(np.float32)}
        else:
            packed[name] = numbers
    return packed


def unpack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multiply filters that `pack` made with their scales; other tensors stay as they are."""
    scales = {name: tensors[name + _SCALE] for name in tensors if name + _SCALE in tensors}
    rest = {name: array for name, array in tensors.items() if not name.endswith(_SCALE)}
    return rest | {name: rest[name] * scale for name, scale in scales.items()}
