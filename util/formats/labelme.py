"""LabelMe and its relatives: a JSON of shapes for each picture. Later ones lie over earlier ones.

Shapes are drawn as labelme itself draws them; those of other kinds are void inside their boxes.
`_background_` is label 0, `__ignore__` is void, and the other labels follow in the order of their
names.
"""

import base64
import functools
import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from deeplab_lfov.errors import UserError
from util.formats import DataSet, Item, json_files
from util.formats.json_files import BOXED, IGNORE, LOST, Notes
from util.formats.pairs import composed, find_pictures

_LINE_WIDTH, _POINT_RADIUS = 10, 5  # pixels, as in labelme's shape_to_mask
_PNG = base64.b64encode(b"\x89PNG\r\n")


class Shape(NamedTuple):
    """A label, one of `_KINDS`, points, and a mask's PNG in base64; a `box` is void inside."""

    label: str
    kind: str
    points: list
    mask: str | None = None


def from_labelme(settings) -> DataSet:
    """Find the pictures of a folder's JSON files, with what is drawn into their masks."""
    pictures = find_pictures(settings.images, "", settings.output_dir)
    paths = sorted(settings.labelme.rglob("*.json"))
    if not paths:
        raise UserError(f"there are no .json files in {settings.labelme}")
    notes, places = Notes(), _Places(settings.images, pictures)
    paths_of: dict[Item, Path] = {}
    sizes, shapes = {}, {}
    for path in paths:
        content = json_files.read_json(path, ("shapes",))
        said = str(content.get("imagePath") or "")
        item = places.find(path, path.relative_to(settings.labelme), said)
        if not item:
            notes.add("JSON files without pictures", path)
            continue
        if paths_of.setdefault(item, path) != path:
            both = f"{paths_of[item]} and {path}"
            raise UserError(f"{both} are both for the picture {item.image}; remove one of them")
        sizes[item] = content.get("imageHeight"), content.get("imageWidth")
        shapes[item] = [_shape(each, path, notes) for each in content["shapes"]]
    if not shapes:
        raise UserError(
            f"none of the {len(paths)} JSON files in {settings.labelme} is for a picture in "
            f"{settings.images}, by the names of the files and the paths in them (imagePath)"
        )
    notes.add("pictures without JSON files", *[i.name for i in pictures if i not in shapes])
    drawn = [shape for each in shapes.values() for shape in each]
    used = {shape.label for shape in drawn if shape.kind != "box"} - {IGNORE}
    classes, labels = json_files.classes_and_labels(settings, sorted(used), used)
    draws = [functools.partial(_draw, i.image, sizes[i], shapes[i], labels) for i in shapes]
    items = [item._replace(draw=draw) for item, draw in zip(shapes, draws, strict=True)]
    return DataSet(classes, items, notes.lines(len(drawn), settings.skip_lost))


class _Places:
    """The pictures of a folder, found for JSON files."""

    def __init__(self, folder: Path, pictures: Sequence[Item]):
        self._folder = _normal(folder)
        self._by_path = {_normal(item.image): item for item in pictures}
        self._by_name = {item.name.with_suffix(""): item for item in pictures}
        self._folders = {item.name.parent for item in pictures} - {Path()}
        self._names = json_files.PictureNames(pictures)

    def find(self, path: Path, name: Path, said: str) -> Item | None:
        """Return the picture of a JSON file that has a name below its folder and says a path.

        The path counts from the JSON file, or leads out of the pictures' folder: then its end
        counts. A bare name may be an old one of what has the JSON file's name now.
        """
        name, said = composed(name), f"{composed(said or name.name)}".replace("\\", "/")
        meant = _normal(path.parent / said)
        if meant in self._by_path:
            return self._by_path[meant]
        if json_files.parts_of(said) == (said,):
            here = [self._by_name.get(name.parent / Path(each).stem) for each in (said, name)]
            if any(here) or name.parent in self._folders:
                return here[0] or here[1]
        elif self._folder in meant.parents:
            return None
        return self._names.find(said, lambda item: item.name.parent == name.parent)


def _normal(path: Path) -> Path:
    """Return an absolute path without `..`; links stay, as their names are what annotations say."""
    return composed(os.path.normpath(path.absolute()))


def _shape(shape: object, path: Path, notes: Notes) -> Shape:
    with json_files.damages(f"a shape in {path}", path):
        label, kind = str(shape["label"]), str(shape.get("shape_type") or "polygon")
        points, mask = list(shape["points"]), shape.get("mask")
        least, most, _ = _KINDS.get(kind, (1, 0, None))
        has_mask = isinstance(mask, str) and mask.encode().startswith(_PNG[:8])
        if least <= len(points) <= most and (kind != "mask" or has_mask):
            return Shape(label, kind, points, mask)
        box = json_files.box_of(points)
    notes.add(BOXED if box else LOST, f"{kind} in {path}", label=label)
    return Shape(label, "box", points if box else [])


def _draw(
    image: Path, said: tuple[object, object], shapes: Sequence[Shape], labels: dict[str, int]
) -> np.ndarray:
    height, width = json_files.size_of(image, said)
    drawn = Image.new("L", (width, height))
    for shape in shapes:
        label = labels[IGNORE if shape.kind == "box" else shape.label]
        with json_files.damages(f"a {shape.kind} {shape.label!r} of {image}", image):
            points = json_files.checked_points(shape.points, height, width)
            if shape.kind == "mask":
                _paste_mask(drawn, shape.mask, points[0], label)
            elif points:
                _KINDS[shape.kind][2](ImageDraw.Draw(drawn), points, label)
    return np.asarray(drawn)


def _paste_mask(drawn: Image.Image, mask: str, corner: tuple[float, float], label: int) -> None:
    """Draw where a PNG is not 0; its upper left pixel lies at the corner."""
    with Image.open(io.BytesIO(base64.b64decode(mask)), formats=["PNG"]) as picture:
        if picture.width > drawn.width or picture.height > drawn.height:
            raise ValueError(f"its mask of {picture.size} is larger than the picture")
        inside = np.asarray(picture) != 0
    inside = inside.any(axis=-1) if inside.ndim == 3 else inside
    drawn.paste(label, (round(corner[0]), round(corner[1])), Image.fromarray(inside))


def _box(draw: ImageDraw.ImageDraw, points: list, label: int) -> None:
    xs, ys = zip(*points, strict=True)
    draw.rectangle((min(xs), min(ys), max(xs), max(ys)), fill=label)


def _circle(draw: ImageDraw.ImageDraw, points: list, label: int) -> None:
    """Draw a circle of its center and a point on it, or a point as a small one."""
    x, y = points[0]
    radius = math.dist(*points) if len(points) == 2 else _POINT_RADIUS
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=label)


_polygon, _line = ImageDraw.ImageDraw.polygon, ImageDraw.ImageDraw.line
_MANY = 1 << 30
_KINDS: dict[str, tuple[int, int, Callable | None]] = {
    "polygon": (3, _MANY, _polygon),
    "rectangle": (2, 4, _box),
    "oriented_rectangle": (4, 4, _polygon),
    "rotation": (4, 4, _polygon),  # this and the next are X-AnyLabeling's
    "quadrilateral": (4, 4, _polygon),
    "circle": (2, 2, _circle),
    "point": (1, 1, _circle),
    "line": (2, 2, functools.partial(_line, width=_LINE_WIDTH)),
    "linestrip": (2, _MANY, functools.partial(_line, width=_LINE_WIDTH)),
    "mask": (1, 2, None),
    "box": (_MANY, 0, _box),
}
"""By kind, the least and the most points, and what draws them; a box is never read, but made."""
