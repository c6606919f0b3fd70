"""What masks hold, grey values, palettes or colours; and label maps, which say what values become.

The maps of known data sets are ready-made.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes, Color, packed, unpacked
from deeplab_lfov.console import progress
from deeplab_lfov.data.image_files import mask_colors, mask_mode, mask_pixels
from deeplab_lfov.data.list_files import is_file, read_lines
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.overlap import ahead, num_processors
from deeplab_lfov.voc import VOID

MOST = 1 << 16
"""Values of a mask lie below: it has 16 bits at most."""
_MOST_PAIRS = 30  # of a value and its label, for people to type
_APART = 24  # values: those of soft masks are closer around a peak, and peaks are farther apart
_MOST_COLORS = 4096  # of a mask; more are those of a photograph


class Found(NamedTuple):
    """The pixels of each grey value, or of each colour (r, g, b), in a mask; or what is wrong.

    colors: of a palette file, what its values look like. is_rgb: the file holds colours, be they
    greys.
    """

    counts: dict[int | Color, int]
    colors: dict[int, Color]
    fault: str = ""
    is_rgb: bool = False

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
        pixels, is_rgb = values_or_colors(mask), mask_mode(mask) == "RGB"
    except UserError as error:
        return Found({}, {}, str(error))
    if pixels.ndim == 2:
        counts = np.bincount(pixels.ravel(), minlength=MOST)
        counts = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
        colors = mask_colors(mask)
        seen = [] if colors is None else [v for v in counts if v < len(colors)]
        colors = {value: tuple(colors[value].tolist()) for value in seen}
        return Found(counts, colors, is_rgb=is_rgb)
    codes, counts = np.unique(packed(pixels), return_counts=True)
    if len(codes) > _MOST_COLORS:
        return Found({}, {}, f"{mask} has {len(codes):,} colours: it is a picture and no mask")
    return Found(dict(zip(unpacked(codes), counts.tolist(), strict=True)), {}, is_rgb=True)


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


def check_palettes(
    palette: Classes, path: str, found: Sequence[Found], masks: Sequence[Path]
) -> None:
    """Raise UserError where palette files show that their values are no labels.

    palette: that of the file at path. Programs that draw number the colours of each file anew.
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
    labels = palette.labels_by_color
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
        labels = {*self.labels.values(), self.rest} - {None, VOID}
        return max(labels, default=-1) + 1

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
    """Read `0:0,128-255:1`, the name of a ready-made map, or a file with a pair in each line.

    `void` stands for label 255, `*` for all other values. Raises UserError for anything else.
    """
    if text in READY:
        return READY[text]
    if is_file(Path(text)):
        pairs = [line for line in read_lines(Path(text)) if line and not line.startswith("#")]
    else:
        pairs = text.split(",")
    labels, rest = {}, None
    for pair in pairs:
        form = r"(?:(\d{1,5})(?:-(\d{1,5}))?|\*)\s*[:\s,]\s*(\d{1,3}|void)"
        match = re.fullmatch(form, pair.strip())
        first, last, label = match.groups() if match else (None, None, None)
        label = VOID if label == "void" else int(label or MOST)
        values = range(int(first or 0), int(last or first or 0) + 1)
        if label > VOID or not values or values[-1] >= MOST:
            raise UserError(
                f"--label_map {text}: {pair!r} is no pair of a value and a label such as 255:1, "
                f"128-255:1 or *:void; there are also {', '.join(READY)}"
            )
        if first is None:
            rest = label
        for value in values if first else ():
            if labels.setdefault(value, label) != label:
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

_CITYSCAPES_CLASSES = Classes(*zip(*_CITYSCAPES.values(), strict=True))
_IDS = dict.fromkeys([*range(34), VOID], VOID) | {v: label for label, v in enumerate(_CITYSCAPES)}
TRAIN_IDS = "cityscapes_train_ids"
READY = {
    "cityscapes": LabelMap(_IDS, classes=_CITYSCAPES_CLASSES),
    TRAIN_IDS: LabelMap(
        {value: value for value in (*range(len(_CITYSCAPES)), VOID)}, classes=_CITYSCAPES_CLASSES
    ),
    "ade20k": LabelMap({0: VOID, VOID: VOID} | {value: value - 1 for value in range(1, 151)}),
}
"""Cityscapes' 34 ids to its 19 classes of evaluation, and its trainIds, which are these classes'
labels already; ADE20K's 150 classes, of which 0 is none."""
_SIGNS = {
    "cityscapes": (re.compile(r"labelIds$"), 18, 33),
    TRAIN_IDS: (re.compile(r"labelTrainIds$"), 0, 18),
    "ade20k": (re.compile(r"^ADE_(train|val|test)_\d+"), 33, 150),
}
"""How the names of a known data set's masks look; its last value, and that of the one before."""


def ready_for(masks: Iterable[Path]) -> str | None:
    """Return the ready-made map that all names of masks ask for, if there is one."""
    stems = [mask.stem for mask in masks]
    return next((kind for kind, sign in _SIGNS.items() if all(map(sign[0].search, stems))), None)


def fitting_map(counts: Mapping[int, int], kind: str | None) -> str:
    """Advise how values that are no labels become some, by what they are like.

    counts: of the pixels, by value. kind: the ready-made map that the masks' names ask for.
    """
    values = sorted(counts)
    others = [value for value in values if value != VOID]
    if kind:
        return f"by the masks' names --label_map {kind}"
    if values == [0, VOID]:
        return "--label_map 0:0,255:1, or 0:0,255:void with other classes if 255 is unlabelled"
    if ranges := _ranges(counts):
        return f"masks so soft have smoothed edges or were JPEGs; --label_map {ranges}"
    if len(values) > _MOST_PAIRS:
        return "--label_map FILE, with a line such as 12:0 for each value"
    pairs = "--label_map " + ",".join(f"{value}:{label}" for label, value in enumerate(others))
    void, last = f"{pairs},255:void", f"{pairs},255:{len(others)}"
    if VOID in values and _are_even_steps(values):
        return f"{last}, as even steps up to 255 are mostly classes, or {void} if it is unlabelled"
    if VOID in values:
        pairs = f"{void}, or {last} if 255 is a class"
    for each, (_, before, most) in _SIGNS.items():
        if before < others[-1] <= most and (most in others or len(others) > 7):
            pairs += f", or --label_map {each} if they are that"
    return (
        f"--class_names FILE that names the labels 0 to {others[-1]}, if those between are just "
        f"absent; else {pairs}"
    )


def _are_even_steps(values: Sequence[int]) -> bool:
    """Tell whether values are steps from 0 to 255, as V7 writes classes; some may be absent."""
    return any(
        {*values} <= {how(VOID * k / n) for k in range(n + 1)}
        for n in range(2, 2 * len(values))
        for how in (int, round)
    )


def _ranges(counts: Mapping[int, int]) -> str:
    """Return ranges around the values that most pixels are near; none where no peaks stand out."""
    total, groups = sum(counts.values()), []
    for value in sorted(value for value in counts if 200 * counts[value] >= total):
        if groups and value - groups[-1][-1] < _APART:
            groups[-1].append(value)
        else:
            groups.append([value])
    broad = any(group[-1] - group[0] >= _APART for group in groups)
    frequent = sum(counts[value] for group in groups for value in group)
    if len(groups) < 2 or broad or len(counts) < 8 * len(groups) or frequent < 0.8 * total:
        return ""
    peaks = [max(group, key=counts.get) for group in groups]
    ends = [(one + other) // 2 for one, other in itertools.pairwise(peaks)] + [max(VOID, *counts)]
    firsts = [0, *(end + 1 for end in ends)]
    pairs = enumerate(zip(firsts, ends, strict=False))
    return ",".join(f"{first}-{end}:{label}" for label, (first, end) in pairs)
