"""What annotations come in, each format a module: mask_folders, class_masks, coco, labelme.

A format is a function of prepare_data.py's settings that returns a `DataSet`, the classes and an
`Item` for each picture, and raises UserError for annotations that are damaged or contradict each
other. To add one, write such a function, and a line with its flag in prepare_data.FORMATS.
prepare_data.py does the rest: sizes, masks, lists, preview.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes


class Item(NamedTuple):
    """A picture: its path, its name below the pictures' folder, and where its labels come from.

    split: the list that it goes to, None where that is to be drawn. mask: a file that stays where
    it is. draw: draws the labels, uint8 [H, W], in any thread. Neither: a test picture.
    """

    image: Path
    name: Path
    split: str | None = None
    mask: Path | None = None
    draw: Callable[[], np.ndarray] | None = None


class DataSet(NamedTuple):
    """What a format has found, with notes for the user: a line each."""

    classes: Classes
    items: list[Item]
    notes: list[str]
