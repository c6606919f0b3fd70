"""What masks hold, grey values, palettes or colours; and label maps, which say what values become.

The maps of known data sets are ready-made.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes, Color, packed, unpacked
from deeplab_lfov.console import progress
from deeplab_lfov.data.class_files import read_class_file
from deeplab_lfov.data.image_files import mask_colors, mask_mode, mask_pixels
from deeplab_lfov.data.list_files import is_file, read_lines
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.overlap import ahead, num_processors
from deeplab_lfov.voc import VOID

TRAIN_IDS = "cityscapes_train_ids"
READY = {
    "cityscapes": (re.compile(r"labelIds$"), 18, 33),
    TRAIN_IDS: (re.compile(r"labelTrainIds$"), 0, 18),
    "ade20k": (re.compile(r"^ADE_(train|val|test)_\d+"), 33, 150),
}
"""How the names of a known data set's masks look; its last value, and that of the one before."""

_MOST_VALUES = 1 << 16  # of a mask: it has 16 bits at most
_MOST_PAIRS = 30  # of a value and its label, for people to type
_APART = 24  # values: those of soft masks are closer around a peak, and peaks are farther apart
_MOST_COLORS = 4096  # of a mask; more are those of a photograph


class Found(NamedTuple):
    """The pixels of each value or colour (r, g, b) in a mask; the values' colours in a palette.

    is_rgb: the file holds colours, even where all of them are greys, which are taken as values.
    """

    counts: dict[int | Color, int]
    colors: dict[int, Color]
    is_rgb: bool

    @property
    def is_grey(self) -> bool:
        """Whether the mask holds values, and not colours."""
        return not any(isinstance(value, tuple) for value in self.counts)


def look_at_masks(masks: Sequence[Path]) -> list[Found]:
    """Count the values of all masks, on all cores; raises UserError for one that is faulty."""
    found = ahead(_look, masks, num_processors())
    return list(progress(found, len(masks), "masks looked at", keep=False))


def _look(mask: Path) -> Found:
    pixels, colors = values_or_colors(mask), mask_colors(mask).tolist()
    if pixels.ndim == 2:
        counts = np.bincount(pixels.ravel())
        counts = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
        colors = {value: tuple(colors[value]) for value in counts if value < len(colors)}
        return Found(counts, colors, mask_mode(mask) == "RGB")
    codes, counts = np.unique(packed(pixels), return_counts=True)
    if len(codes) > _MOST_COLORS:
        raise UserError(f"{mask} has {len(codes):,} colours, more than a mask can have", mask)
    return Found(dict(zip(unpacked(codes), counts.tolist(), strict=True)), {}, True)


def values_or_colors(mask: Path) -> np.ndarray:
    """Decode a mask to values [H, W], from RGB too where that is all grey, or colours [H, W, 3]."""
    mode, pixels = mask_pixels(mask)
    if mode in ("LA", "PA"):
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        pixels = pixels[..., :3]
        return pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels
    if mode == "F" or pixels.min() < 0 or pixels.max() >= _MOST_VALUES:
        span = f"{pixels.min()} to {pixels.max()}"
        raise UserError(f"{mask} holds no labels: its pixels go from {span}", mask)
    return pixels.astype(np.int64)


def check_palettes(
    palette: Classes, path: str, found: Sequence[Found], masks: Sequence[Path]
) -> None:
    """Raise UserError where palette files, or a palette of another path, number colours anew."""
    seen = [(v, c, mask) for f, mask in zip(found, masks, strict=True) for v, c in f.colors.items()]
    first: dict[int, tuple[Color, Path]] = {}
    for value, color, mask in seen:
        before, other = first.setdefault(value, (color, mask))
        if before != color:
            raise UserError(
                f"the value {value} has the colour {before} in {other} and {color} in {mask}: "
                "the palettes differ, so values cannot be labels; save the masks in RGB, or say "
                "with --label_map what the values mean, whatever their colours"
            )
    labels = palette.labels_by_color
    pairs = {value: labels.get(color, value) for value, (color, _) in sorted(first.items())}
    if wrong := [value for value, label in pairs.items() if label != value]:
        words = [f"{v}:{'void' if label == VOID else label}" for v, label in pairs.items()]
        raise UserError(
            f"the values {few(wrong)} have the colours of other labels of {path}; if the colours "
            f"are right, add --label_map {','.join(words)}; otherwise correct {path}"
        )


class LabelMap(NamedTuple):
    """The label of each value, of all others (None: they are errors), and the classes' names."""

    labels: dict[int, int]
    rest: int | None = None
    classes: Classes = Classes()

    @property
    def num_classes(self) -> int:
        """How many labels there are, void not counted."""
        labels = {*self.labels.values(), self.rest} - {None, VOID}
        return max(labels, default=-1) + 1

    def applied(self, values: np.ndarray) -> np.ndarray:
        """Return the labels uint8 [H, W] of values [H, W]; raises UserError for unknown ones."""
        table = np.full(_MOST_VALUES, -1 if self.rest is None else self.rest, np.int16)
        table[list(self.labels)] = list(self.labels.values())
        labels = table[values]
        if (labels < 0).any():
            raise UserError(f"no label map has the value {values[labels < 0][0]}")
        return labels.astype(np.uint8)


def read_label_map(text: str) -> LabelMap:
    """Read `0:0,128-255:1`, the name of a ready-made map, or a file with a pair in each line.

    `void` stands for label 255, `*` for all other values. Raises UserError for anything else.
    """
    if text in READY:
        return ready_map(text)
    pairs = text.split(",")
    if is_file(Path(text)):
        pairs = [line for line in read_lines(Path(text)) if line and not line.startswith("#")]
    labels, rest = {}, None
    for pair in pairs:
        form = r"(?:(\d{1,5})(?:-(\d{1,5}))?|\*)\s*[:\s,]\s*(\d{1,3}|void)"
        match = re.fullmatch(form, pair.strip())
        first, last, label = match.groups() if match else (None, None, _MOST_VALUES)
        label = VOID if label == "void" else int(label)
        values = range(int(first or 0), int(last or first or 0) + 1)
        if label > VOID or not values or values[-1] >= _MOST_VALUES:
            raise UserError(
                f"--label_map {text}: {pair!r} is not a value and its label, such as 255:1, "
                f"128-255:1 or *:void; ready-made maps are {', '.join(READY)}"
            )
        if first is None:
            rest = label
        for value in values if first else ():
            if labels.setdefault(value, label) != label:
                raise UserError(f"--label_map {text}: the value {value} has two labels")
    return LabelMap(labels, rest)


def ready_map(kind: str) -> LabelMap:
    """Return a ready-made map; trainIds are labels already, and ADE20K's 0 is no class."""
    if kind == "ade20k":
        return LabelMap({0: VOID, VOID: VOID} | {value: value - 1 for value in range(1, 151)})
    classes, labels = read_class_file(Path(__file__).with_name("cityscapes.txt"))
    if kind == TRAIN_IDS:
        return LabelMap({each: each for each in (*labels.values(), VOID)}, classes=classes)
    return LabelMap(dict.fromkeys([*range(34), VOID], VOID) | labels, classes=classes)


def ready_for(masks: Iterable[Path]) -> str | None:
    """Return the ready-made map that all names of masks ask for, if there is one."""
    stems = [mask.stem for mask in masks]
    return next((kind for kind, sign in READY.items() if all(map(sign[0].search, stems))), None)


def fitting_map(counts: Counter, kind: str | None) -> str:
    """Advise how values that are no labels become some, by their pixels and the masks' names."""
    values = sorted(counts)
    others = [value for value in values if value != VOID]
    if kind:
        return f"--label_map {kind}, by the masks' names"
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
    for each, (_, before, most) in READY.items():
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


def _ranges(counts: Counter) -> str:
    """Return ranges around the values that most pixels are near; none where no peaks stand out."""
    often = [value for value, count in counts.most_common() if 200 * count >= counts.total()]
    peaks = []
    for value in often:
        if all(abs(value - peak) >= _APART for peak in peaks):
            peaks.append(value)
    stand_out = all(min(abs(value - peak) for peak in peaks) < _APART / 2 for value in often)
    frequent = sum(counts[value] for value in often) >= 0.8 * counts.total()
    if len(peaks) < 2 or len(counts) < 8 * len(peaks) or not (stand_out and frequent):
        return ""
    ends = [(one + other) // 2 for one, other in itertools.pairwise(sorted(peaks))]
    ends = [-1, *ends, max(VOID, *counts)]
    pairs = enumerate(itertools.pairwise(ends))
    return ",".join(f"{before + 1}-{end}:{label}" for label, (before, end) in pairs)
