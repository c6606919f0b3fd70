"""COCO's instances (a JSON of images, annotations and categories), through pycocotools.

Larger regions are drawn first, so that smaller ones lie on top; crowd regions are void and lie
below all. Label 0 is background, and the categories of all files follow in the order of their ids.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.class_files import classes_from
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item, json_files
from util.formats.json_files import PictureNames
from util.formats.pairs import find_pictures, split_of

SPLITS = ("train", "val", "test")
"""What the first, second and third file are for, where there are several."""


class Region(NamedTuple):
    """A label, and the pixels that have it, in COCO's form."""

    label: int
    segmentation: object


class _File(NamedTuple):
    path: Path
    split: str | None
    content: dict


def from_coco(settings) -> DataSet:
    """Find the pictures of the files' images, with what is drawn into their masks.

    Raises UserError for damaged files and those that contradict each other, where no picture is
    there, and without pycocotools.
    """
    try:
        from pycocotools import mask  # noqa: F401 - what draws needs it, later
    except ImportError as error:
        raise UserError("COCO's polygons need pycocotools: pip install pycocotools") from error
    pictures = PictureNames(find_pictures(settings.images, "", settings.output_dir))
    splits = SPLITS if len(settings.coco) > 1 else (None,)
    keys, pairs = ("images", "annotations", "categories"), zip(settings.coco, splits, strict=False)
    files = [_File(path, split, json_files.read_json(path, keys)) for path, split in pairs]
    categories = _categories(files)
    named = classes_from(settings.class_names, Classes(), None)
    ordered = json_files.with_background(categories[number] for number in sorted(categories))
    classes = named if named.names else Classes(ordered)
    items, lost = [], defaultdict(list)
    for file in files:
        with _explained(file.path):
            items += _items(file, pictures, _labels(file, categories, classes), lost)
    if not items:
        names = few(lost["images without pictures"])
        raise UserError(f"no image of {few(settings.coco)} is in {settings.images}: {names}")
    _check_once(items)
    notes = [f"{what} ({len(names)}): {few(names)}" for what, names in lost.items()]
    return DataSet(classes, items, notes)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what damaged contents raise into an error about a file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not COCO's: {error!r}", path) from error


def _categories(files: Sequence[_File]) -> dict[int, str]:
    """Return the categories of all files by id; raises UserError where two have one id or name."""
    categories: dict[int, str] = {}
    for path, _, content in files:
        with _explained(path):
            for each in content["categories"]:
                number, name = int(each["id"]), str(each["name"])
                if categories.setdefault(number, name) != name:
                    raise UserError(
                        f"the category {number} is {name!r} in {path}, and {categories[number]!r} "
                        "before; give the files the same categories",
                        path,
                    )
    names = Counter(categories.values())
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"several categories of {few([f.path for f in files])} are {few(twice)}")
    return categories


def _labels(file: _File, categories: dict[int, str], classes: Classes) -> dict[int, int]:
    """Return the label of every category that a file's annotations have."""
    used = {int(each["category_id"]) for each in file.content["annotations"]}
    labels = json_files.labels_of(classes.names, [categories[number] for number in used])
    return {number: labels[categories[number]] for number in used}


def _items(
    file: _File, pictures: PictureNames, labels: dict[int, int], lost: dict[str, list[str]]
) -> list[Item]:
    """Return a file's images as items; what is missing goes to `lost`, by what it is."""
    regions, items, content = defaultdict(list), [], file.content
    ids = Counter(image["id"] for image in content["images"])
    if twice := [number for number, count in ids.items() if count > 1]:
        raise ValueError(f"the image {twice[0]} is there twice")
    for each in content["annotations"]:
        if each["image_id"] not in ids:
            lost["annotations of no image"].append(str(each["image_id"]))
        if not each["segmentation"]:
            lost["annotations without a region, not drawn"].append(str(each.get("id")))
        label = VOID if each.get("iscrowd") else labels[int(each["category_id"])]
        regions[each["image_id"]].append(Region(label, each["segmentation"]))
    for image in content["images"]:
        name, said = str(image["file_name"]), (image.get("height"), image.get("width"))
        item = pictures.find(name, lambda item: file.split and split_of(item.name) == file.split)
        if item:
            draw = functools.partial(
                draw_regions, file.path, item.image, said, regions[image["id"]]
            )
            items.append(item._replace(split=file.split, draw=draw))
        else:
            lost["images without pictures"].append(name)
    return items


def _check_once(items: Sequence[Item]) -> None:
    counts = Counter(item.image for item in items)
    if twice := [image for image, count in counts.items() if count > 1]:
        raise UserError(
            f"{len(twice)} pictures are those of several images, {few(twice)}; a picture has one "
            "mask and is in one list"
        )


def draw_regions(
    path: Path, image: Path, said: tuple[object, object], regions: Sequence[Region]
) -> np.ndarray:
    """Draw the regions of an image, the larger first: labels uint8 [H, W].

    said: (height, width) as the JSON has them. Raises UserError for another size of the picture,
    and for regions that are damaged.
    """
    size = json_files.size_of(image, said)
    try:
        drawn = [(label, _region(segmentation, *size)) for label, segmentation in regions]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} has a damaged region of {image}: {error}", path) from error
    labels = np.zeros(size, np.uint8)
    for label, region in sorted(drawn, key=lambda each: (each[0] != VOID, -each[1].sum())):
        labels[region] = label
    return labels


def _region(segmentation: object, height: int, width: int) -> np.ndarray:
    """Return which pixels are inside, bool [H, W]; raises what damaged ones raise."""
    from pycocotools import mask

    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"it is of {segmentation['size']} and the picture of {height, width}")
        if isinstance(segmentation["counts"], list):
            return _from_counts(segmentation["counts"], height, width)
        return mask.decode(segmentation).astype(bool)
    polygons = [np.reshape(polygon, (-1, 2)) for polygon in segmentation]
    polygons = [json_files.checked_points(polygon, height, width) for polygon in polygons]
    if any(len(polygon) < 3 for polygon in polygons):
        raise ValueError("a polygon has fewer than three points")
    flat = [[length for point in polygon for length in point] for polygon in polygons]
    if not flat:
        return np.zeros((height, width), bool)
    return mask.decode(mask.merge(mask.frPyObjects(flat, height, width))).astype(bool)


def _from_counts(counts: list[int], height: int, width: int) -> np.ndarray:
    """Decode run lengths, of pixels outside first, that go down the columns."""
    runs = np.array(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.max(initial=0) > height * width:
        raise ValueError("its runs are no lengths")
    if runs.sum() != height * width:
        raise ValueError(f"its runs are {runs.sum()} pixels long")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
