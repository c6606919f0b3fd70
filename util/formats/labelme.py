"""LabelMe: a JSON of shapes for each picture. Later shapes lie over earlier ones.

Polygons, rectangles and circles are drawn; other shapes are counted and named. `_background_` is
label 0, `__ignore__` is void, and the other labels follow in the order of their names.
"""

import functools
import math
from collections import Counter
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image, ImageDraw

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import image_size
from deeplab_lfov.data.palette import NO_PALETTE, classes_from
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item
from util.formats.json_files import checked_points, read_json
from util.formats.pairs import find_pictures

BACKGROUND, IGNORE = "_background_", "__ignore__"
_DRAWN = ("polygon", "rectangle", "circle")

Shape = tuple[str, str, list]
"""(label, kind, points)"""


def from_labelme(settings) -> DataSet:
    """Find the pictures of a folder's JSON files, with what is drawn into their masks.

    Raises UserError for damaged files, and where no picture is there.
    """
    pictures = find_pictures(settings.images, "", settings.output_dir)
    places = _places(pictures)
    shapes: dict[Item, list[Shape]] = {}
    paths = sorted(settings.labelme.rglob("*.json"))
    if not paths:
        raise UserError(f"there are no .json files in {settings.labelme}")
    for path in paths:
        content = read_json(path, ("shapes",))
        item = _picture_of(path, str(content.get("imagePath", "")), places)
        if item:
            shapes[item] = [_shape(each, path) for each in content["shapes"]]
    if not shapes:
        raise UserError(f"no picture of the {len(paths)} JSON files in {settings.labelme} is there")
    found = Counter(label for each in shapes.values() for label, kind, _ in each if kind in _DRAWN)
    names = (BACKGROUND.strip("_"), *sorted(set(found) - {BACKGROUND, IGNORE}))
    classes = classes_from(settings.class_names, NO_PALETTE, None)
    classes = classes if classes.names else Classes(names)
    labels = _labels(classes.names, found)
    items = [
        item._replace(draw=functools.partial(_draw, item.image, here, labels))
        for item, here in shapes.items()
    ]
    return DataSet(classes, items, _notes(pictures, shapes, len(paths)))


def _places(pictures: list[Item]) -> dict[Path | str, Item]:
    """Return the pictures by path, and by name and stem where those occur once."""
    names = Counter(key for item in pictures for key in {item.image.name, item.image.stem})
    places = {item.image: item for item in pictures}
    for key in ("name", "stem"):
        places |= {getattr(i.image, key): i for i in pictures if names[getattr(i.image, key)] == 1}
    return places


def _picture_of(path: Path, image_path: str, places: dict[Path | str, Item]) -> Item | None:
    """Find the picture of a JSON file: beside it, else by the name it says, else by its own."""
    name = PureWindowsPath(image_path).name  # splits at both kinds of slashes
    return places.get(path.with_name(name or "?")) or places.get(name) or places.get(path.stem)


def _shape(shape: object, path: Path) -> Shape:
    try:
        return str(shape["label"]), str(shape.get("shape_type") or "polygon"), shape["points"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} has a damaged shape: {error!r}", path) from error


def _labels(names: tuple[str, ...], found: Counter) -> dict[str, int]:
    labels = {name: label for label, name in enumerate(names)} | {BACKGROUND: 0, IGNORE: VOID}
    if len(names) >= VOID:
        raise UserError(f"there are {len(names)} classes; {VOID - 1} are the most")
    if unknown := [name for name in found if name not in labels]:
        raise UserError(f"--class_names does not name {few(unknown)}, which shapes are labelled")
    return labels


def _draw(image: Path, shapes: list[Shape], labels: dict[str, int]) -> np.ndarray:
    height, width = image_size(image)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for label, kind, points in (shape for shape in shapes if shape[1] in _DRAWN):
        try:
            _draw_shape(draw, kind, checked_points(points, height, width), labels[label])
        except (TypeError, ValueError) as error:
            raise UserError(f"a {kind} {label!r} of {image} is damaged: {error}") from error
    return np.asarray(mask)


def _draw_shape(draw: ImageDraw.ImageDraw, kind: str, points: list, label: int) -> None:
    if kind == "polygon" and len(points) > 2:
        draw.polygon(points, fill=label)
    elif kind in ("rectangle", "circle"):
        (x1, y1), (x2, y2) = points
        if kind == "circle":  # its center, and a point on it
            radius = math.hypot(x2 - x1, y2 - y1)
            x1, y1, x2, y2 = x1 - radius, y1 - radius, x1 + radius, y1 + radius
        box = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        (draw.rectangle if kind == "rectangle" else draw.ellipse)(box, fill=label)


def _notes(pictures: list[Item], shapes: dict[Item, list[Shape]], files: int) -> list[str]:
    others = Counter(kind for each in shapes.values() for _, kind, _ in each if kind not in _DRAWN)
    alone = [item.name for item in pictures if item not in shapes]
    notes = [f"{len(alone)} pictures without JSON: {few(alone)}"] if alone else []
    if files > len(shapes):
        notes.append(f"{files - len(shapes)} JSON files without pictures")
    notes += [f"{count} shapes of the kind {kind} are not drawn" for kind, count in others.items()]
    return notes
