"""What annotations come in, each format a module: mask_folders, class_masks, coco, labelme.

A format is a function of prepare_data.py's settings that returns a `DataSet`: the classes, and an
`Item` for each picture. An item's labels are in a mask file that stays where it is, or are drawn by
`draw`, which threads call: it returns uint8 [H, W]. prepare_data.py does the rest: sizes, masks,
lists, preview. To add a format, write such a function, and a line with its flag in
prepare_data.FORMATS.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes


class Item(NamedTuple):
    """A picture: its path, its name below the pictures' folder, and where its labels come from.

    split: the list that it goes to, None where that is to be drawn. Neither mask nor draw: a
    picture of a test list without truth.
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
