"""A PNG for each class or region of a picture: what is not 0 in it is of the class in its name.

`cat/photo.png`, `photo/cat.png`, `photo/cat_1.png` and `photo_cat_1.png` are of photo.jpg and cat.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.data.list_files import pictures_in
from deeplab_lfov.errors import UserError, few
from util.formats import DataSet, json_files
from util.formats.mask_values import values_or_colors
from util.formats.pairs import find_pictures

_NUMBER = re.compile(r"[-_ ]?\d+$")


def from_class_masks(settings) -> DataSet:
    """Find the masks of each picture's classes; the larger lie below the smaller."""
    pictures = find_pictures(settings.images, "", settings.output_dir, settings.class_masks)
    names = {item.name.with_suffix("").as_posix(): item for item in pictures}
    found, alone = defaultdict(list), []
    for path in pictures_in(settings.class_masks):
        name = path.relative_to(settings.class_masks).with_suffix("").as_posix()
        picture, label = _picture_and_class(name, names)
        found[picture].append((label, path)) if picture else alone.append(name)
    if not found:
        raise UserError(
            f"no file in {settings.class_masks} is named after a picture in {settings.images} and "
            "a class, as cat/photo.png, photo/cat.png and photo_cat.png are"
        )
    used = {label for masks in found.values() for label, _ in masks}
    classes, labels = json_files.classes_and_labels(settings, sorted(used), used)
    draws = {name: functools.partial(_draw, masks, labels) for name, masks in found.items()}
    items = [names[name]._replace(draw=draw) for name, draw in draws.items()]
    notes = json_files.Notes()
    notes.add("pictures without masks", *[name for name in names if name not in found])
    notes.add("masks without pictures", *alone)
    return DataSet(classes, items, notes.lines())


def _picture_and_class(name: str, pictures: dict) -> tuple[str, str]:
    """Return which picture a mask is of, by the longest name that fits, and its class."""
    folder, _, rest = name.partition("/")
    if rest in pictures:
        return rest, folder
    ends = [i for i, c in enumerate(name) if c in "/_- " and name[:i] in pictures]
    label = _NUMBER.sub("", name[ends[-1] + 1 :]) if ends else ""
    return (name[: ends[-1]], label) if label else ("", "")


def _draw(masks: Sequence[tuple[str, Path]], labels: dict[str, int]) -> np.ndarray:
    drawn = [(labels[label], _inside(path)) for label, path in masks]
    if len({inside.shape for _, inside in drawn}) > 1:
        raise UserError(f"{few([path for _, path in masks])} have different sizes")
    result = np.zeros(drawn[0][1].shape, np.uint8)
    for label, inside in sorted(drawn, key=lambda each: -each[1].sum()):
        result[inside] = label
    return result


def _inside(path: Path) -> np.ndarray:
    pixels = values_or_colors(path)
    pixels = pixels if pixels.ndim == 2 else pixels.any(axis=-1)
    if len(np.unique(pixels)) > 2:
        raise UserError(f"{path} has more than two values; a mask of a class has 0 and another")
    return pixels != 0
