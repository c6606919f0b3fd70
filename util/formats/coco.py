"""COCO's instances (a JSON of images, annotations and categories), through pycocotools.

Larger regions are drawn first, so that smaller ones lie on top; crowd regions are void and lie
below all. Label 0 is background, and the categories of all files follow in the order of their ids.
Many programs write `iscrowd: 1` for whatever has run lengths: `drawn_crowds` tells them apart.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item, coco_regions, json_files
from util.formats.json_files import BOXED, LOST, Notes, PictureNames
from util.formats.pairs import SPLITS, find_pictures, split_of

_CROWDS = {
    False: "regions with iscrowd 1, drawn as their class unless --crowds void is given",
    True: "regions with iscrowd 1, drawn as void unless --crowds class is given",
}


class _File(NamedTuple):
    """The list that a file is for, its names by category id, annotations behind their names."""

    path: Path
    split: str | None
    images: list[dict]
    categories: list[dict]
    names: dict[int, str]
    annotations: list[tuple[str, dict]]


def from_coco(settings) -> DataSet:
    """Find the pictures of the files' images, with what is drawn into their masks."""
    try:
        from pycocotools import mask  # noqa: F401 - what draws needs it, later
    except ImportError as error:
        raise UserError("COCO's polygons need pycocotools: pip install pycocotools") from error
    pictures = find_pictures(settings.images, "", settings.output_dir)
    names = PictureNames(pictures)
    splits = SPLITS if len(settings.coco) > 1 else (None,)
    files, notes = [*map(_read, settings.coco, splits)], Notes()
    used = {name for file in files for name, _ in file.annotations}
    ordered = _categories(files, used, notes)
    classes, labels = json_files.classes_and_labels(settings, ordered, used)
    items: list[Item] = []
    for file in files:
        with json_files.damages(file.path, file.path):
            items += _items(file, names, _regions(file, labels, settings, notes), notes)
    if not items:
        said = few([image["file_name"] for file in files for image in file.images])
        raise UserError(f"no image of {few(settings.coco)} is in {settings.images}: {said}")
    counts = Counter(item.image for item in items)
    if twice := [image for image, count in counts.items() if count > 1]:
        raise UserError(
            f"several images of the annotations are the same picture: {few(twice)}; a picture has "
            "one mask and is in one list"
        )
    notes.add("pictures without annotations", *[i.name for i in pictures if i.image not in counts])
    total = sum(len(file.annotations) for file in files)
    return DataSet(classes, items, notes.lines(total, settings.skip_lost))


def _read(path: Path, split: str | None) -> _File:
    """Read a file; raises UserError for other formats and for categories of one name."""
    content = json_files.read_json(path, ("images", "annotations", "categories"))
    images, annotations, categories = (
        content["images"],
        content["annotations"],
        content["categories"],
    )
    with json_files.damages(path, path):
        if any("segments_info" in each for each in annotations):
            raise UserError(
                f"{path} is in COCO's panoptic format, whose regions are in PNG files; give the "
                "file of instances (instances_*.json), or make masks of the PNG files as "
                "docs/own_data.md shows",
                path,
            )
        names = {int(each["id"]): str(each["name"]) for each in categories}
        if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
            raise UserError(f"several categories of {path} have the name {few(twice)}")
        named = [(names[int(each["category_id"])], each) for each in annotations]
        return _File(path, split, images, categories, names, named)


def _categories(files: Sequence[_File], used: set[str], notes: Notes) -> list[str]:
    """Return the names of all files' categories in the order of their ids, each name once.

    What only stands above others and has no annotation, such as Roboflow's root, is left out.
    """
    first: dict[str, int] = {}
    for file in files:
        first = {name: number for number, name in file.names.items()} | first
    pairs = [(each.get("supercategory"), each["name"]) for f in files for each in f.categories]
    above = {str(parent) for parent, name in pairs if parent != name}
    roots = sorted((set(first) & above) - used)
    notes.add("categories above others, without annotations, left out", *roots)
    return sorted(set(first) - set(roots), key=lambda name: (first[name], name))


def _regions(
    file: _File, labels: dict[str, int], settings, notes: Notes
) -> dict[str, list[coco_regions.Region]]:
    """Return the regions of each image's id, those that cannot be drawn void in their boxes."""
    drawn = {"void": (), "class": {*file.names.values()}}.get(settings.crowds)
    drawn = coco_regions.drawn_crowds(file.annotations) if drawn is None else drawn
    regions = defaultdict(list)
    for name, each in file.annotations:
        is_void = bool(each.get("iscrowd")) and name not in drawn
        if each.get("iscrowd"):
            notes.add(_CROWDS[is_void], each.get("id"), label=name)
        label = VOID if is_void else labels[name]
        good, short = coco_regions.parts_of_region(each.get("segmentation"))
        found = [coco_regions.Region(label, good, is_void)] if good else []
        boxes = [json_files.box_of(zip(s[::2], s[1::2], strict=True)) for s in short]
        whole = None if good else coco_regions.flat_box(each.get("bbox"))
        boxes = [whole] if whole else [box for box in boxes if box]
        is_drawn = settings.draw_boxes and whole
        found += [coco_regions.Region(label if is_drawn else VOID, None, box=box) for box in boxes]
        if not found or (boxes and not is_drawn):
            notes.add(BOXED if boxes else LOST, f"annotation {each.get('id')}", label=name)
        regions[_id(each["image_id"])] += found
    return regions


def _id(value: object) -> str:
    return str(value).removesuffix(".0")  # by which a number and its text are the same


def _items(
    file: _File, pictures: PictureNames, regions: dict[str, list[coco_regions.Region]], notes: Notes
) -> list[Item]:
    """Return a file's images as items; what is missing is noted."""
    items, ids = [], Counter(_id(image["id"]) for image in file.images)
    if twice := [number for number, count in ids.items() if count > 1]:
        raise UserError(f"{file.path} has several images with the id {few(twice)}", file.path)
    nowhere = [number for number in regions if number not in ids]
    if nowhere and len(nowhere) == len(regions):
        raise UserError(
            f"no annotation of {file.path} belongs to one of its images: they say image_id "
            f"{few(nowhere)}, and the images have the ids {few([*ids])}",
            file.path,
        )
    notes.add("image ids of annotations that no image has", *nowhere)
    for image in file.images:
        name, said = str(image["file_name"]), (image.get("height"), image.get("width"))
        item = pictures.find(name, lambda item: file.split and split_of(item.name) == file.split)
        if item:
            drawn = regions.get(_id(image["id"]), [])
            if not drawn:
                notes.add("images without regions, all background", name)
            draw = functools.partial(_draw, file.path, item.image, said, drawn)
            items.append(item._replace(split=file.split, draw=draw))
        else:
            notes.add("images without pictures", name)
    return items


def _draw(
    path: Path, image: Path, said: tuple[object, object], regions: Sequence[coco_regions.Region]
) -> np.ndarray:
    """Draw the regions of an image, the larger first: labels uint8 [H, W]."""
    size = json_files.size_of(image, said)
    with json_files.damages(f"a region of {image} in {path}", path):
        drawn = [coco_regions.region_of(region, *size) for region in regions]
    labels = np.zeros(size, np.uint8)
    for region, inside in sorted(drawn, key=lambda each: (not each[0].is_crowd, -each[1].sum())):
        labels[inside] = region.label
    return labels
