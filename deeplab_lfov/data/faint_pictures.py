"""Pictures that reach the network black or white, and why."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.data.decoding import opened
from deeplab_lfov.data.image_files import raw_form, read_image
from deeplab_lfov.errors import UserError
from deeplab_lfov.overlap import ahead, num_processors

_LOOKED_AT = 20  # pictures at most
_GREYS = 16  # of 256: what has no more is black, or white, to the network
_BLACK_16 = "pictures such as {} have 16 bits, of which the upper byte is kept, and go up to {} of "
_BLACK_16 += "65535: they will be black or almost black; multiply their pixels by {}"
_BLACK = "pictures such as {} go up to {} of 255, which is black; multiply their pixels by {}"
_CLEAR = "pictures such as {} are transparent and will be white; save them without alpha"
_NO_ALPHA = "pictures such as {} have a fourth band that hides most of them and is probably not "
_NO_ALPHA += "alpha; save the three colour bands alone"
_WHITE = "pictures such as {} will be white or almost white"


def faint(pictures: Sequence[Path]) -> list[str]:
    """Look at some pictures, and tell where most of them show next to nothing, and why."""
    some = pictures[:: max(1, math.ceil(len(pictures) / _LOOKED_AT))]
    looks: dict[str, dict[Path, int]] = defaultdict(dict)
    for path, (fault, most) in zip(some, ahead(_look, some, num_processors()), strict=True):
        looks[fault][path] = most
    lines = []
    for fault, found in looks.items():
        if fault and 2 * len(found) > len(some):
            most, full = max(found.values()), 1 << (16 if fault is _BLACK_16 else 8)
            lines.append(fault.format(next(iter(found)), most, full // (most + 1)))
    return lines


def _look(path: Path) -> tuple[str, int]:
    """Return what is wrong with a picture, "" if nothing, and its highest pixel."""
    try:
        pixels = read_image(path)
        with opened(path) as picture:
            is_deep = picture.mode.startswith("I") or ";16" in raw_form(picture)[0]
            most = int(np.max(picture)) if picture.mode.startswith("I") else int(pixels.max())
            has_alpha = picture.has_transparency_data
            alpha = np.asarray(picture.convert("RGBA"))[..., 3] if has_alpha else np.uint8(255)
            if is_deep and not picture.mode.startswith("I"):
                most = most << 8 | 255  # of 16-bit colours Pillow drops the lower 8
    except UserError:
        return "", 0
    faults = {
        _CLEAR: np.mean(alpha == 0) > 0.9,
        _NO_ALPHA: np.mean((alpha > 0) & (alpha < 255)) > 0.5,
        _WHITE: pixels.min() > 255 - _GREYS,
        _BLACK_16 if is_deep else _BLACK: pixels.max() < _GREYS,
    }
    return next((fault for fault, applies in faults.items() if applies), ""), most
