"""Classes: what a data set calls the classes of its labels, and the colours that it gives them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deeplab_lfov.voc import PALETTE, class_names_of

Color = tuple[int, int, int]
"""RGB, each from 0 to 255."""


class Classes(NamedTuple):
    """Names of the classes, label 0 first, and the colour of each; no colours stand for VOC's.

    void_colors: those that stand for void in RGB masks.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    void_colors: tuple[Color, ...] = ()

    @property
    def table(self) -> np.ndarray:
        """The colour of every label, uint8 RGB [256, 3]; VOC's for void and what has none."""
        table = PALETTE.copy()
        if self.colors:
            table[: len(self.colors)] = self.colors
        return table

    @property
    def has_background(self) -> bool:
        """Whether label 0 is what is no object, by its name."""
        return bool(self.names) and self.names[0].strip("_ ").lower() == "background"

    def named(self, names: Sequence[str]) -> "Classes":
        """Return the classes under other names, of which there are as many."""
        return self._replace(names=tuple(names))


def voc_classes(num_classes: int) -> Classes:
    """Return VOC's names and colours for 21 classes; `class 0`, ... for any other number."""
    return Classes(class_names_of(num_classes))
