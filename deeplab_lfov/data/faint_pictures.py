"""Pictures that reach the network black or white, and why."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.data.decoding import opened
from deeplab_lfov.data.image_files import raw_form, read_image
from deeplab_lfov.errors import UserError

_LOOKED_AT = 20  # pictures at most
_GREYS = 16  # a picture that has no more of 256 is black, or white, to the network
_SIXTEEN, _ALPHA, _EIGHT = "16-bit pictures", "pictures with alpha", "pictures"
_BLACK = "go up to {most} of {full} and will be black or almost{advice}"
_TRANSPARENT = "are transparent almost everywhere, and will be white there; save them without alpha"
_NO_ALPHA = "have a fourth band that is probably no alpha and hides them; save three bands"
_WHITE = "will be white or almost: all of their pixels are"


class _Look(NamedTuple):
    """What kind of file a picture is, what is wrong with it ("" if nothing), its highest pixel."""

    kind: str
    fault: str
    most: int


def faint(pictures: Sequence[Path]) -> list[str]:
    """Look at some of the pictures, and tell where most of a kind show next to nothing, and why."""
    looks: dict[Path, _Look] = {}
    for path in pictures[:: math.ceil(len(pictures) / _LOOKED_AT)]:
        with suppress(UserError):
            looks[path] = _look(path)
    lines = []
    for kind, fault in dict.fromkeys((look.kind, look.fault) for look in looks.values()):
        those = {path: look.most for path, look in looks.items() if look[:2] == (kind, fault)}
        if fault and 2 * len(those) > sum(look.kind == kind for look in looks.values()):
            most, full = max(those.values()), 65535 if kind == _SIXTEEN else 255
            times = (full + 1) // (most + 1)
            advice = f"; multiply their pixels by {times}" if most else ""
            if most and kind == _SIXTEEN:
                advice = f", as their upper bytes are kept{advice}"
            words = fault.format(most=most, full=full, advice=advice)
            lines.append(f"{kind} such as {next(iter(those))} {words}")
    return lines


def _look(path: Path) -> _Look:
    with opened(path) as picture:
        kind = _SIXTEEN if ";16" in f"{picture.mode} {raw_form(picture)[0]}" else _EIGHT
        kind = _SIXTEEN if picture.mode == "I" else kind
        most = int(np.max(picture)) if picture.mode.startswith("I") else None
        clear = picture.has_transparency_data
        alpha = np.asarray(picture.convert("RGBA").getchannel("A")) if clear else np.uint8(255)
    pixels = read_image(path)
    if np.mean(alpha == 0) > 0.9:
        return _Look(_ALPHA, _TRANSPARENT, 0)
    if np.mean((alpha > 0) & (alpha < 255)) > 0.5:
        return _Look(_ALPHA, _NO_ALPHA, 0)
    if pixels.min() > 255 - _GREYS:
        return _Look(kind, _WHITE, 255)
    if most is None:
        most = int(pixels.max())
        most = most << 8 | 255 if kind == _SIXTEEN else most  # at most, as Pillow drops a byte
    return _Look(kind, _BLACK if pixels.max() < _GREYS else "", most)
