"""What masks hold, grey values, palettes or colours; and label maps, which say what values become.

The maps of known data sets are ready-made.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes, Color, packed, unpacked
from deeplab_lfov.console import progress
from deeplab_lfov.data.class_files import read_palette
from deeplab_lfov.data.image_files import mask_colors, mask_pixels
from deeplab_lfov.data.list_files import is_file, read_lines
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.overlap import ahead, num_processors
from deeplab_lfov.voc import VOID

MOST = 1 << 16
"""Values of a mask lie below: it has 16 bits at most."""
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
    found = ahead(_values_of, masks, num_processors())
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


class LabelMap(NamedTuple):
    """The label of each value, of all others (None: they are errors), and the classes' names."""

    labels: dict[int, int]
    rest: int | None = None
    classes: Classes | None = None

    @property
    def num_classes(self) -> int:
        """How many labels there are, void not counted."""
        return max((label for label in self.labels.values() if label != VOID), default=-1) + 1

    def unknown(self, values: list[int]) -> list[int]:
        """Return those of the values that nothing is said about."""
        return [value for value in values if self.rest is None and value not in self.labels]

    def applied(self, values: np.ndarray) -> np.ndarray:
        """Return the labels uint8 [H, W] of values [H, W]; raises UserError for unknown ones."""
        table = np.full(MOST, -1 if self.rest is None else self.rest, np.int16)
        table[list(self.labels)] = list(self.labels.values())
        labels = table[values]
        if (labels < 0).any():
            raise UserError(f"the value {values[labels < 0][0]} is in no label map")
        return labels.astype(np.uint8)


def read_label_map(text: str) -> LabelMap:
    """Read `0:0,255:1`, the name of a ready-made map, or a file with a pair in each line.

    `void` stands for label 255 and `*` for all other values. Raises UserError for anything else.
    """
    if text in READY:
        return READY[text]
    if is_file(Path(text)):
        pairs = [line for line in read_lines(Path(text)) if line and not line.startswith("#")]
    else:
        pairs = text.split(",")
    labels, rest = {}, None
    for pair in pairs:
        match = re.fullmatch(r"(\d{1,5}|\*)\s*[:\s,]\s*(\d{1,3}|void)", pair.strip())
        value, label = match.groups() if match else ("", "")
        label = VOID if label == "void" else int(label or MOST)
        if label > VOID or (value != "*" and int(value) >= MOST):
            raise UserError(
                f"--label_map {text}: {pair!r} is no pair of a value and a label such as 255:1 or "
                f"*:void; there are also {', '.join(READY)}"
            )
        if value == "*":
            rest = label
        elif labels.setdefault(int(value), label) != label:
            raise UserError(f"--label_map {text}: the value {value} has two labels")
    return LabelMap(labels, rest)


_CITYSCAPES = {  # id -> name and colour; their order is that of the labels
    7: ("road", (128, 64, 128)),
    8: ("sidewalk", (244, 35, 232)),
    11: ("building", (70, 70, 70)),
    12: ("wall", (102, 102, 156)),
    13: ("fence", (190, 153, 153)),
    17: ("pole", (153, 153, 153)),
    19: ("traffic light", (250, 170, 30)),
    20: ("traffic sign", (220, 220, 0)),
    21: ("vegetation", (107, 142, 35)),
    22: ("terrain", (152, 251, 152)),
    23: ("sky", (70, 130, 180)),
    24: ("person", (220, 20, 60)),
    25: ("rider", (255, 0, 0)),
    26: ("car", (0, 0, 142)),
    27: ("truck", (0, 0, 70)),
    28: ("bus", (0, 60, 100)),
    31: ("train", (0, 80, 100)),
    32: ("motorcycle", (0, 0, 230)),
    33: ("bicycle", (119, 11, 32)),
}

READY = {
    "cityscapes": LabelMap(
        dict.fromkeys([*range(34), 255], VOID) | {v: label for label, v in enumerate(_CITYSCAPES)},
        classes=Classes(*zip(*_CITYSCAPES.values(), strict=True)),
    ),
    "ade20k": LabelMap({0: VOID} | {value: value - 1 for value in range(1, 151)}),
}
"""Cityscapes' 34 ids to its 19 classes of evaluation; ADE20K's 150 classes, of which 0 is none."""
