"""COCO's instances (a JSON of images, annotations and categories), through pycocotools.

Larger regions are drawn first, so that smaller ones lie on top; crowd regions are void and lie
below all. Label 0 is background, and the categories follow in the order of their ids.
"""

import functools
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import image_size
from deeplab_lfov.data.palette import NO_PALETTE, classes_from
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import DataSet, Item
from util.formats.json_files import checked_points, read_json
from util.formats.pairs import find_pictures

SPLITS = ("train", "val", "test")
"""What the first, second and third file are for, where there are several."""


def from_coco(settings) -> DataSet:
    """Find the pictures of the files' images, with what is drawn into their masks.

    Raises UserError for damaged files, for pictures that are missing, and without pycocotools.
    """
    try:
        from pycocotools import mask  # noqa: F401 - what draws needs it, in other processes
    except ImportError as error:
        raise UserError("COCO's polygons need pycocotools: pip install pycocotools") from error
    pictures = find_pictures(settings.images, "", settings.output_dir)
    places = {item.name.as_posix(): item for item in pictures}
    names = Counter(item.image.name for item in pictures)
    places |= {item.image.name: item for item in pictures if names[item.image.name] == 1}
    categories, items, missing = {}, [], []
    splits = SPLITS if len(settings.coco) > 1 else (None,)
    for path, split in zip(settings.coco, splits, strict=False):
        try:
            content = read_json(path, ("images", "annotations", "categories"))
            categories |= {int(each["id"]): str(each["name"]) for each in content["categories"]}
            here = _items(content, path, places, sorted(categories), missing)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path} is damaged or not COCO's: {error!r}", path) from error
        items += [item._replace(split=split) for item in here]
    if not items:
        raise UserError(f"no image of {few(settings.coco)} is in {settings.images}: {few(missing)}")
    names = ("background", *(categories[number] for number in sorted(categories)))
    classes = classes_from(settings.class_names, NO_PALETTE, len(names))
    notes = [f"{len(missing)} images are missing: {few(missing)}"] if missing else []
    return DataSet(classes if classes.names else Classes(names), items, notes)


def _items(
    content: dict, path: Path, places: dict[str, Item], ids: list[int], missing: list[str]
) -> list[Item]:
    labels = {number: label for label, number in enumerate(ids, 1)}
    if len(labels) >= VOID:
        raise UserError(f"{path} has {len(labels)} categories; {VOID - 1} are the most")
    regions, items = defaultdict(list), []
    for each in content["annotations"]:
        label = VOID if each.get("iscrowd") else labels[int(each["category_id"])]
        regions[each["image_id"]].append((label, each["segmentation"]))
    for image in content["images"]:
        name = str(image["file_name"])
        item = places.get(name) or places.get(Path(name).name)
        if item:
            draw = functools.partial(_draw, path, item.image, regions[image["id"]])
            items.append(item._replace(draw=draw))
        else:
            missing.append(name)
    return items


def _draw(path: Path, image: Path, regions: list[tuple[int, object]]) -> np.ndarray:
    height, width = image_size(image)
    try:
        drawn = [(label, _region(segmentation, height, width)) for label, segmentation in regions]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} has a damaged region of {image}: {error}", path) from error
    labels = np.zeros((height, width), np.uint8)
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
    polygons = [checked_points(polygon, height, width) for polygon in polygons]
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
