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

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.class_files import classes_from
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item
from util.formats.coco_regions import Region, draw_regions
from util.formats.json_files import labels_of, read_json, with_background
from util.formats.pairs import find_pictures, split_of
from util.formats.picture_names import PictureNames

SPLITS = ("train", "val", "test")
"""What the first, second and third file are for, where there are several."""


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
        from pycocotools import mask  # noqa: F401 - what draws needs it, in other processes
    except ImportError as error:
        raise UserError("COCO's polygons need pycocotools: pip install pycocotools") from error
    pictures = PictureNames(find_pictures(settings.images, "", settings.output_dir))
    splits = SPLITS if len(settings.coco) > 1 else (None,)
    keys = "images", "annotations", "categories"
    files = [_File(p, s, read_json(p, keys)) for p, s in zip(settings.coco, splits, strict=False)]
    categories = _categories(files)
    named = classes_from(settings.class_names, Classes(), None)
    ordered = with_background(categories[number] for number in sorted(categories))
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
    labels = labels_of(classes.names, [categories[number] for number in used])
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
