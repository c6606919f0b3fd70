"""What masks hold, before anybody says what it means: grey values, palettes, or colours."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Color, packed, unpacked
from deeplab_lfov.console import progress
from deeplab_lfov.data.class_files import read_palette
from deeplab_lfov.data.image_files import mask_colors, mask_pixels
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats.label_maps import MOST

_MOST_COLORS = 4096  # of a mask; more are those of a photograph


class Found(NamedTuple):
    """The pixels of each grey value, or of each colour (r, g, b), in a mask; or what is wrong.

    colors: of a palette file, what its values look like.
    """

    counts: dict[int | Color, int]
    colors: dict[int, Color]
    fault: str = ""

    @property
    def is_grey(self) -> bool:
        """Whether the mask holds values, and not colours."""
        return not any(isinstance(value, tuple) for value in self.counts)


def look_at_masks(masks: Sequence[Path]) -> list[Found]:
    """Count the values of all masks, on all cores; raises UserError for masks that are faulty."""
    with ProcessPoolExecutor() as workers:
        found = workers.map(_values_of, masks, chunksize=8)
        found = list(progress(found, len(masks), "masks looked at", keep=False))
    if faults := [each.fault for each in found if each.fault]:
        raise UserError(f"{len(faults)} of {len(masks)} masks are faulty: {faults[0]}")
    return found


def _values_of(mask: Path) -> Found:
    try:
        pixels = values_or_colors(mask)
    except UserError as error:
        return Found({}, {}, str(error))
    if pixels.ndim == 2:
        counts = np.bincount(pixels.ravel(), minlength=MOST)
        counts = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
        colors = mask_colors(mask)
        seen = [] if colors is None else [v for v in counts if v < len(colors)]
        return Found(counts, {value: tuple(colors[value].tolist()) for value in seen})
    codes, counts = np.unique(packed(pixels), return_counts=True)
    if len(codes) > _MOST_COLORS:
        return Found({}, {}, f"{mask} has {len(codes):,} colours: it is a picture and no mask")
    return Found(dict(zip(unpacked(codes), counts.tolist(), strict=True)), {})


def values_or_colors(mask: Path) -> np.ndarray:
    """Decode a mask to values [H, W], from RGB too where that is all grey, or colours [H, W, 3]."""
    mode, pixels = mask_pixels(mask)
    if mode in ("LA", "PA"):
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        pixels = pixels[..., :3]
        return pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels
    if mode == "F" or pixels.min() < 0 or pixels.max() >= MOST:
        raise UserError(
            f"{mask} holds no labels: its pixels go from {pixels.min()} to {pixels.max()}"
        )
    return pixels.astype(np.int64)


def check_palettes(path: str | None, found: Sequence[Found], masks: Sequence[Path]) -> None:
    """Raise UserError where palette files show that their values are no labels.

    path: of a palette that is named. Programs that draw number the colours of each file anew.
    """
    first: dict[int, tuple[Color, Path]] = {}
    for each, mask in zip(found, masks, strict=True):
        for value, color in each.colors.items():
            before, other = first.setdefault(value, (color, mask))
            if before != color:
                raise UserError(
                    f"the value {value} has the colour {before} in {other} and {color} in {mask}: "
                    "the palettes differ, so that values are no labels; save the masks in RGB, or "
                    "say by --label_map what values mean whatever their colours"
                )
    labels = read_palette(path).labels_by_color if path else {}
    wrong = {v: labels[color] for v, (color, _) in first.items() if labels.get(color, v) != v}
    if wrong:
        pairs = {value: labels.get(color, value) for value, (color, _) in sorted(first.items())}
        words = [f"{v}:{'void' if label == VOID else label}" for v, label in pairs.items()]
        raise UserError(
            f"the masks hold {few(list(wrong))} in the colours of other labels of {path}; if the "
            f"colours are right, --label_map {','.join(words)}; else correct {path}"
        )
