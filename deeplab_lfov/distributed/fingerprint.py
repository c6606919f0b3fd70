"""A checksum by which the workers of a run find out that they were not started alike."""

import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def fingerprint(
    settings: Mapping[str, object], names: Sequence[object], tensors: Mapping[str, np.ndarray]
) -> int:
    """Return a checksum of 32 bits of settings, names of classes or files, and weights.

    All but the weights are what JSON holds.
    """
    checksum = zlib.crc32(json.dumps([settings, list(names)], sort_keys=True).encode())
    for name in sorted(tensors):
        if tensors[name].dtype != object:
            checksum = zlib.crc32(np.ascontiguousarray(tensors[name]), checksum)
    return checksum
