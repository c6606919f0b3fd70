"""LabelMe: a JSON of shapes for each picture. Later shapes lie over earlier ones.

Polygons, rectangles and circles are drawn; other shapes are counted and named. `_background_` is
label 0, `__ignore__` is void, and the other labels follow in the order of their names.
"""

import functools
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.class_files import classes_from
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item, json_files
from util.formats.pairs import composed, find_pictures

BACKGROUND, IGNORE = "_background_", "__ignore__"
_DRAWN = ("polygon", "rectangle", "circle")

Shape = tuple[str, str, list]
"""(label, kind, points)"""


class _Annotated(NamedTuple):
    """A picture, its JSON file, (height, width) as that says, and its shapes."""

    item: Item
    path: Path
    said: tuple[object, object]
    shapes: list[Shape]


def from_labelme(settings) -> DataSet:
    """Find the pictures of a folder's JSON files, with what is drawn into their masks.

    Raises UserError for damaged files, several of one picture, and where no picture is there.
    """
    pictures = find_pictures(settings.images, "", settings.output_dir)
    paths = sorted(settings.labelme.rglob("*.json"))
    if not paths:
        raise UserError(f"there are no .json files in {settings.labelme}")
    annotated, alone = _pair(paths, settings.labelme, _Places(settings.images, pictures))
    if not annotated:
        raise UserError(f"no picture of the {len(paths)} JSON files in {settings.labelme} is there")
    drawn = {label for each in annotated for label, kind, _ in each.shapes if kind in _DRAWN}
    used = drawn - {BACKGROUND, IGNORE}
    classes = classes_from(settings.class_names, Classes(), None)
    classes = classes if classes.names else Classes(json_files.with_background(sorted(used)))
    labels = json_files.labels_of(classes.names, used) | {BACKGROUND: 0, IGNORE: VOID}
    items = [each.item._replace(draw=functools.partial(_draw, each, labels)) for each in annotated]
    return DataSet(classes, items, _notes(pictures, annotated, alone))


def _pair(
    paths: Iterable[Path], folder: Path, places: "_Places"
) -> tuple[list[_Annotated], list[Path]]:
    """Read the JSON files of a folder; return those with their pictures, and those without."""
    annotated: dict[Path, _Annotated] = {}
    alone = []
    for path in paths:
        content = json_files.read_json(path, ("shapes",))
        item = places.of(path, path.relative_to(folder), str(content.get("imagePath") or ""))
        if not item:
            alone.append(path)
        elif item.image in annotated:
            both = f"{annotated[item.image].path} and {path}"
            raise UserError(f"{both} are of the same picture, {item.image}; leave one of them")
        else:
            said = content.get("imageHeight"), content.get("imageWidth")
            shapes = [_shape(each, path) for each in content["shapes"]]
            annotated[item.image] = _Annotated(item, path, said, shapes)
    return list(annotated.values()), alone


class _Places:
    """The pictures of a folder, found for JSON files."""

    def __init__(self, folder: Path, pictures: Sequence[Item]):
        self._folder = _normal(folder)
        self._by_path = {_normal(item.image): item for item in pictures}
        self._by_name = {item.name.with_suffix(""): item for item in pictures}
        self._folders = {item.name.parent for item in pictures}
        self._names = json_files.PictureNames(pictures)

    def of(self, path: Path, name: Path, said: str) -> Item | None:
        """Return the picture of a JSON file that has a name below its folder and says a path.

        The path counts from the JSON file's folder. Where it leads out of the pictures' folder, the
        picture is known by the path's end, in the sub-folder of the same name if there are several.
        A bare name may be an old one of what has the JSON file's name now.
        """
        name, said = composed(name), f"{composed(said or name.name)}".replace("\\", "/")
        meant, parts = _normal(path.parent / said), json_files.parts_of(said)
        if meant in self._by_path:
            return self._by_path[meant]
        if parts != (said,):
            if self._folder in meant.parents:
                return None
            return self._names.find(said, lambda item: item.name.parent == name.parent)
        here = [self._by_name.get(name.parent / Path(each).stem) for each in (said, name)]
        if any(here) or (name.parent != Path() and name.parent in self._folders):
            return here[0] or here[1]
        return self._names.find(said)


def _normal(path: Path) -> Path:
    """Return an absolute path without `..`; links stay, as their names are what annotations say."""
    return composed(os.path.normpath(path.absolute()))


def _shape(shape: object, path: Path) -> Shape:
    try:
        kind, points = str(shape.get("shape_type") or "polygon"), shape["points"]
        kind = "polygon of under three points" if kind == "polygon" and len(points) < 3 else kind
        return str(shape["label"]), kind, points
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} has a damaged shape: {error!r}", path) from error


def _draw(annotated: _Annotated, labels: dict[str, int]) -> np.ndarray:
    image = annotated.item.image
    height, width = json_files.size_of(image, annotated.said)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for label, kind, points in (shape for shape in annotated.shapes if shape[1] in _DRAWN):
        try:
            _draw_shape(draw, kind, json_files.checked_points(points, height, width), labels[label])
        except (TypeError, ValueError) as error:
            raise UserError(f"a {kind} {label!r} of {image} is damaged: {error}") from error
    return np.asarray(mask)


def _draw_shape(draw: ImageDraw.ImageDraw, kind: str, points: list, label: int) -> None:
    if kind == "polygon":
        draw.polygon(points, fill=label)
    else:
        (x1, y1), (x2, y2) = points
        if kind == "circle":  # its center, and a point on it
            radius = math.hypot(x2 - x1, y2 - y1)
            x1, y1, x2, y2 = x1 - radius, y1 - radius, x1 + radius, y1 + radius
        box = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        (draw.rectangle if kind == "rectangle" else draw.ellipse)(box, fill=label)


def _notes(
    pictures: Sequence[Item], annotated: Sequence[_Annotated], alone: Sequence[Path]
) -> list[str]:
    kinds = Counter(kind for each in annotated for _, kind, _ in each.shapes if kind not in _DRAWN)
    found = {each.item.image for each in annotated}
    without = {
        "pictures without JSON files": [i.name for i in pictures if i.image not in found],
        "JSON files without pictures": alone,
    }
    notes = [f"{what} ({len(names)}): {few(names)}" for what, names in without.items() if names]
    return notes + [f"shapes of the kind {kind}, not drawn: {n}" for kind, n in kinds.items()]
