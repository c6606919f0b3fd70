"""Classes: what a data set calls the classes of its labels, and the colours that it gives them."""

import itertools
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.voc import PALETTE, VOID, class_names_of

Color = tuple[int, int, int]
"""RGB, each from 0 to 255."""

_SAY_WHAT_THEY_ARE = "correct that, or say with --class_names FILE what the labels are"


class Classes(NamedTuple):
    """Names of the classes, label 0 first, and the colour of each; no colours stand for VOC's.

    void_colors: those that stand for void in RGB masks.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    void_colors: tuple[Color, ...] = ()

    @property
    def table(self) -> np.ndarray:
        """The colour of every label, uint8 RGB [256, 3]; VOC's for what has none."""
        table = PALETTE.copy()
        if self.colors:
            table[: len(self.colors)] = self.colors
        if self.void_colors:
            table[VOID] = self.void_colors[0]
        return table

    @property
    def has_background(self) -> bool:
        """Whether label 0 is what is no object, by its name."""
        return bool(self.names) and self.names[0].strip("_ ").lower() == "background"

    @property
    def are_named(self) -> bool:
        """Whether the names were given by somebody, and are not just `class 0`, `class 1`, ..."""
        return any(name != f"class {label}" for label, name in enumerate(self.names))

    def stored(self) -> dict[str, np.ndarray]:
        """Return what a file of weights keeps of the classes: their names and colours, by name."""
        return {
            "class_names": np.array(self.names, object),
            "class_colors": self.table[: len(self.names)],
            "void_colors": np.array(self.void_colors, np.uint8).reshape(-1, 3),
        }

    def without_voc_colors(self) -> "Classes":
        """Return the classes without colours where those are VOC's, as those without are drawn."""
        voc = tuple(map(tuple, PALETTE[: len(self.colors)].tolist()))
        return self._replace(colors=(), void_colors=()) if self.colors == voc else self

    def check_same(
        self, others: "Classes", here: object, there: object, advice: str = _SAY_WHAT_THEY_ARE
    ) -> None:
        """Raise UserError unless the other classes have the same names, in the same order.

        here and there: where the two were found, for the message.
        """
        pairs = itertools.zip_longest(self.names, others.names)
        for label, (name, other) in enumerate(pairs):
            if name != other:
                name, other = (repr(each) if each else "no class" for each in (name, other))
                raise UserError(
                    f"label {label} is {name} in {here} and {other} in {there}; {advice}"
                )


def voc_classes(num_classes: int) -> Classes:
    """Return VOC's names and colours for 21 classes; `class 0`, ... for any other number."""
    return Classes(class_names_of(num_classes))
