"""The colours that stand for labels in RGB masks: VOC's, or a data set's own from a file."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes, Color
from deeplab_lfov.data.list_files import read_class_names, read_lines
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import PALETTE, VOID

_LINE = re.compile(r"(.+?)[\s,:]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})")

_LOOKED_AT = 100_000  # pixels of unknown colours, for an error line
_NUMBERS = re.compile(r"\d[\s,]+\d+$")


class Palette(NamedTuple):
    """Colours uint8 RGB [K, 3], the label uint8 [K] of each, and the classes' names if known."""

    colors: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> Classes:
        """The classes' names and colours, and the colours of void."""
        void = self.labels == VOID
        colors = (
            tuple(map(tuple, part.tolist())) for part in (self.colors[~void], self.colors[void])
        )
        return Classes(self.class_names, *colors)

    def labels_of(self, pixels: np.ndarray) -> np.ndarray:
        """Look up the labels of colours: uint8 RGB [H, W, 3] -> uint8 [H, W].

        Raises UserError that names the colours which are not in the palette.
        """
        table = np.zeros(1 << 24, np.uint16)  # of which few pages are ever touched
        table[_codes(self.colors)] = self.labels.astype(np.uint16) + 1
        codes = _codes(pixels)
        labels = table[codes]
        if not labels.all():
            unknown = np.unique(codes[labels == 0][:_LOOKED_AT]).tolist()
            colors = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in unknown]
            raise UserError(f"colours that are not in the palette: {few(colors, 5)}")
        return (labels - 1).astype(np.uint8)


VOC_PALETTE = Palette(PALETTE, np.arange(256, dtype=np.uint8))
NO_PALETTE = Palette(np.empty((0, 3), np.uint8), np.empty(0, np.uint8))
"""Of data sets whose masks hold labels: no colour stands for one."""


def palette_of(classes: Classes) -> Palette:
    """Return the palette that has the colours of classes; none where they have no own."""
    if not classes.colors:
        return NO_PALETTE._replace(class_names=classes.names)
    labels = [*range(len(classes.colors)), *[VOID] * len(classes.void_colors)]
    colors = np.array(classes.colors + classes.void_colors, np.uint8)
    return Palette(colors, np.array(labels, np.uint8), classes.names)


def read_palette(path: str | Path | None) -> Palette:
    """Read a file with a name and a colour in each line, `road 128 64 128`, label 0 first.

    None and `voc` mean VOC's palette. Where no line has a colour they are names alone. The name
    void stands for void and takes no label; blank lines and lines that start with # are skipped.
    Raises UserError for lines of another form and for a colour or name given twice.
    """
    if path in (None, "voc"):
        return VOC_PALETTE
    lines = [(number, line) for number, line in enumerate(read_lines(Path(path)), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not any(_NUMBERS.search(line) for _, line in lines):
        names = [line for _, line in lines if line != "void"]
        return NO_PALETTE._replace(class_names=_checked_names(names, path))
    rows = [_parse(line, f"line {number} of {path}") for number, line in lines]
    names = _checked_names([name for name, _ in rows if name != "void"], path)
    colors = [color for name, color in rows if name != "void"]
    void_colors = [color for name, color in rows if name == "void"]
    if len(set(colors + void_colors)) < len(rows):
        raise UserError(f"{path} gives a colour twice")
    return palette_of(Classes(names, tuple(colors), tuple(void_colors)))


def _checked_names(names: list[str], path: str | Path) -> tuple[str, ...]:
    if not 0 < len(names) < VOID:
        raise UserError(f"{path} names {len(names)} classes; it should name 1 to {VOID - 1}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} names the class {repeated[0]!r} twice")
    return tuple(names)


def read_classes(
    path: str | Path, num_classes: int | None = None, others: Classes | None = None
) -> Classes:
    """Read a file of names, as `read_class_names` does, or of names and colours.

    Names alone take the colours of `others`. Raises UserError for another number than num_classes.
    """
    if any(_LINE.fullmatch(line) for line in read_lines(Path(path))):
        classes = read_palette(path).classes
        if num_classes not in (None, len(classes.names)):
            raise UserError(f"{path} names {len(classes.names)} classes, not {num_classes}")
        return classes
    names = read_class_names(path, num_classes)
    keeps_colors = others and len(others.colors) == len(names)
    return others._replace(names=names) if keeps_colors else Classes(names)


def classes_from(
    class_names: str | Path | None, palette: Palette, num_classes: int | None
) -> Classes:
    """Return the classes of the file class_names, else of the palette, else without names.

    Raises UserError where their number is not num_classes, if that is given.
    """
    if class_names is not None:
        return read_classes(class_names, num_classes, palette.classes)
    if palette.class_names and num_classes not in (None, len(palette.class_names)):
        raise UserError(
            f"the palette or classes.txt of the data set names {len(palette.class_names)} classes, "
            f"and the network, or --num_classes, has {num_classes}"
        )
    return palette.classes if palette.class_names else Classes(())


def _parse(line: str, where: str) -> tuple[str, Color]:
    match = _LINE.fullmatch(line)
    color = tuple(map(int, match.groups()[1:])) if match else (256,)
    if max(color) > 255:
        raise UserError(f"{where} is not a name and a colour such as `road 128 64 128`: {line!r}")
    return match.group(1), color


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue
