"""Classes: names of the classes of labels, and their colours; files of them: `data.class_files`."""

import itertools
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import CLASS_NAMES, PALETTE, VOID

Color = tuple[int, int, int]
"""RGB, each from 0 to 255."""

_SAY_WHAT_THEY_ARE = "correct that, or say with --class_names FILE what the labels are"


class Classes(NamedTuple):
    """Names of the classes, label 0 first, and the colours that stand for labels in RGB masks.

    No names: nobody has said how many classes there are. No colours: none stands for a label.
    void_colors: those that stand for void.
    """

    names: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    void_colors: tuple[Color, ...] = ()

    @property
    def table(self) -> np.ndarray:
        """The colour that every label is drawn in, uint8 RGB [256, 3]; VOC's for what has none."""
        table = PALETTE.copy()
        if self.colors:
            table[: len(self.colors)] = self.colors
        if self.void_colors:
            table[VOID] = self.void_colors[0]
        return table

    @property
    def labels_by_color(self) -> dict[Color, int]:
        """The label that each colour stands for."""
        labels = {color: label for label, color in enumerate(self.colors)}
        return labels | dict.fromkeys(self.void_colors, VOID)

    @property
    def has_background(self) -> bool:
        """Whether label 0 is what is no object, by its name."""
        return bool(self.names) and self.names[0].strip("_ ").lower() == "background"

    @property
    def are_named(self) -> bool:
        """Whether the names were given by somebody, and are not just `class 0`, `class 1`, ..."""
        return any(name != f"class {label}" for label, name in enumerate(self.names))

    def label_of(self, name: str) -> int:
        """Return the label of a class; raises UserError that names the classes for any other."""
        if name not in self.names:
            raise UserError(f"there is no class {name!r}; the classes are {few(self.names, 25)}")
        return self.names.index(name)

    def labels_of(self, pixels: np.ndarray) -> np.ndarray:
        """Look up the labels of colours: uint8 RGB [H, W, 3] -> uint8 [H, W].

        Raises UserError that names the colours which stand for none.
        """
        known = self.labels_by_color
        colors = np.array([*known], np.uint8).reshape(-1, 3)
        table = np.zeros(1 << 24, np.uint16)  # of which few pages are ever touched
        table[packed(colors)] = np.add([*known.values()], 1)
        codes = packed(pixels)
        labels = table[codes]
        if not labels.all():
            unknown = unpacked(np.unique(codes[labels == 0]))
            raise UserError(f"colours that are not in the palette: {few(unknown, 5)}")
        return (labels - 1).astype(np.uint8)

    def stored(self) -> dict[str, np.ndarray]:
        """Return what a file of weights keeps of the classes: their names and colours, by name."""
        return {
            "class_names": np.array(self.names, object),
            "class_colors": self.table[: len(self.names)],
            "void_colors": np.array(self.void_colors, np.uint8).reshape(-1, 3),
        }

    def check_same(
        self, others: "Classes", here: object, there: object, advice: str = _SAY_WHAT_THEY_ARE
    ) -> None:
        """Raise UserError, naming where both were found, unless the others' names are the same."""
        pairs = itertools.zip_longest(self.names, others.names)
        for label, (name, other) in enumerate(pairs):
            if name != other:
                name, other = (repr(each) if each else "no class" for each in (name, other))
                raise UserError(
                    f"label {label} is {name} in {here} and {other} in {there}; {advice}"
                )


_VOC_COLORS = tuple(map(tuple, PALETTE.tolist()))
VOC = Classes((), _VOC_COLORS[:VOID], _VOC_COLORS[VOID:])
"""VOC's colours of all labels. They say nothing of the number of classes, and so have no names."""


def voc_classes(num_classes: int) -> Classes:
    """Return VOC's names for 21 classes; `class 0`, `class 1`, ... for any other number."""
    if num_classes == len(CLASS_NAMES):
        return Classes(CLASS_NAMES)
    return Classes(tuple(f"class {label}" for label in range(num_classes)))


def packed(colors: np.ndarray) -> np.ndarray:
    """Make one integer of each colour: uint8 RGB [..., 3] -> int32 [...]."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def unpacked(codes: np.ndarray) -> list[Color]:
    """Return the colours of `packed` integers [N]."""
    return [(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()]
