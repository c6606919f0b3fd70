"""COCO's instances (a JSON of images, annotations and categories), through pycocotools.

Larger regions are drawn first, so that smaller ones lie on top; crowd regions are void and lie
below all. Label 0 is background, and the categories of all files follow in the order of their ids.
Many programs write `iscrowd: 1` for whatever has run lengths: `drawn_crowds` tells them apart.
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
from util.formats.coco_regions import (
    Region,
    drawn_crowds,
    flat_box,
    parts_of_region,
    region_of,
)
from util.formats.json_files import BOXED, LOST, Notes, PictureNames
from util.formats.pairs import find_pictures, split_of

SPLITS = ("train", "val", "test")
"""What the first, second and third file are for, where there are several."""

_CROWDS = {
    False: "regions with iscrowd 1 drawn as their class, and by --crowds void as void",
    True: "crowd regions drawn as void, and by --crowds class as their class",
}


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
    notes = Notes()
    ordered = json_files.with_background(_categories(files, notes))
    named = classes_from(settings.class_names, Classes(), None)
    classes = named if named.names else Classes(ordered)
    items: list[Item] = []
    for file in files:
        with _explained(file.path):
            regions = _regions(file, classes, settings, notes)
            items += _items(file, pictures, regions, notes)
    total = sum(len(file.content["annotations"]) for file in files)
    if not items:
        names = few([image["file_name"] for file in files for image in file.content["images"]])
        raise UserError(f"no image of {few(settings.coco)} is in {settings.images}: {names}")
    _check_once(items)
    return DataSet(classes, items, notes.lines(total, settings.skip_lost))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what damaged contents raise into an error about a file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not COCO's: {error!r}", path) from error


def _names(file: _File) -> dict[int, str]:
    """Return the names of a file's categories by id; raises UserError where two have one name."""
    names = {int(each["id"]): str(each["name"]) for each in file.content["categories"]}
    counts = Counter(names.values())
    if twice := [name for name, count in counts.items() if count > 1]:
        raise UserError(f"several categories of {file.path} are {few(twice)}")
    return names


def _check_instances(file: _File) -> None:
    if any("segments_info" in each for each in file.content["annotations"]):
        raise UserError(
            f"{file.path} is in COCO's panoptic format, whose regions are in PNG files; give the "
            "instances' file (instances_*.json), or make masks of the PNG files as "
            "docs/own_data.md shows",
            file.path,
        )


def _used(file: _File, names: dict[int, str]) -> set[str]:
    return {names[int(each["category_id"])] for each in file.content["annotations"]}


def _categories(files: Sequence[_File], notes: Notes) -> list[str]:
    """Return the names of all files' categories in the order of their ids.

    A name is one class whatever its ids. What only stands above other categories, such as the root
    that Roboflow writes, and has no annotation is left out.
    """
    first: dict[str, int] = {}
    used, above = set(), set()
    for file in files:
        with _explained(file.path):
            _check_instances(file)
            names = _names(file)
            first = {name: number for number, name in names.items()} | first
            used |= _used(file, names)
            for each in file.content["categories"]:
                above |= {each.get("supercategory")} - {each["name"]}
    roots = (set(first) & above) - used
    if roots:
        notes.add("categories above others, without annotations, left out", *sorted(roots))
    return sorted(set(first) - roots, key=lambda name: (first[name], name))


def _regions(file: _File, classes: Classes, settings, notes: Notes) -> dict[str, list[Region]]:
    """Return the regions of each image's id, those that cannot be drawn void in their boxes."""
    names, annotations = _names(file), file.content["annotations"]
    labels = json_files.labels_of(classes.names, _used(file, names))
    drawn = {"void": set(), "class": set(names.values()), None: None}[settings.crowds]
    drawn = drawn_crowds(annotations, names) if drawn is None else drawn
    regions = defaultdict(list)
    for each in annotations:
        name = names[int(each["category_id"])]
        is_void = bool(each.get("iscrowd")) and name not in drawn
        if each.get("iscrowd"):
            notes.add(_CROWDS[is_void], each.get("id"), label=name)
        label = VOID if is_void else labels[name]
        good, short = parts_of_region(each.get("segmentation"))
        found = [Region(label, good, is_void)] if good else []
        boxes = [json_files.box_of(zip(s[::2], s[1::2], strict=True)) for s in short]
        whole = None if good else flat_box(each.get("bbox"))
        boxes = [whole] if whole else [box for box in boxes if box]
        is_drawn = settings.draw_boxes and whole
        found += [Region(label if is_drawn else VOID, None, box=box) for box in boxes]
        if not found or (boxes and not is_drawn):
            notes.add(BOXED if boxes else LOST, f"annotation {each.get('id')}", label=name)
        regions[_id(each["image_id"])] += found
    return regions


def _id(value: object) -> str:
    """Return an id by which a number and its text are the same."""
    try:
        return str(int(value))
    except (TypeError, ValueError):
        return str(value)


def _items(
    file: _File, pictures: PictureNames, regions: dict[str, list[Region]], notes: Notes
) -> list[Item]:
    """Return a file's images as items; what is missing is noted."""
    items, content = [], file.content
    ids = Counter(_id(image["id"]) for image in content["images"])
    if twice := [number for number, count in ids.items() if count > 1]:
        raise ValueError(f"the image {twice[0]} is there twice")
    nowhere = [number for number in regions if number not in ids]
    if nowhere and len(nowhere) == len(regions):
        raise UserError(
            f"no annotation of {file.path} is of one of its images: they say image_id "
            f"{few(nowhere)}, and the images have the ids {few([*ids])}",
            file.path,
        )
    if nowhere:
        notes.add("annotations of no image", *nowhere)
    for image in content["images"]:
        name, said = str(image["file_name"]), (image.get("height"), image.get("width"))
        item = pictures.find(name, lambda item: file.split and split_of(item.name) == file.split)
        if item:
            drawn = regions.get(_id(image["id"]), [])
            draw = functools.partial(draw_regions, file.path, item.image, said, drawn)
            items.append(item._replace(split=file.split, draw=draw))
        else:
            notes.add("images without pictures", name)
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
        drawn = [region_of(region, *size) for region in regions]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} has a damaged region of {image}: {error}", path) from error
    labels = np.zeros(size, np.uint8)
    for region, inside in sorted(drawn, key=lambda each: (not each[0].is_crowd, -each[1].sum())):
        labels[inside] = region.label
    return labels
