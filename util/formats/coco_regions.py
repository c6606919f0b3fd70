"""The regions of COCO's annotations: polygons, run lengths, and boxes where there is neither."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from deeplab_lfov.voc import VOID
from util.formats.json_files import DAMAGES, Box, box_of, checked_points

_LOOKED_AT, _MOST_PIXELS = 50, 10**8  # crowd regions of a category that are decoded, and pixels
_WITHIN = 0.8  # the share of a region inside a crowd that makes it one of the group


class Region(NamedTuple):
    """A label, and the pixels that have it: polygons or run lengths in COCO's form, or the box.

    is_crowd: it is void and lies below all others.
    """

    label: int
    segmentation: list | dict | None
    is_crowd: bool = False
    box: Box | None = None


def parts_of_region(segmentation: object) -> tuple[list | dict | None, list[list]]:
    """Return what can be drawn of a segmentation, and its polygons of fewer than three points."""
    if not isinstance(segmentation, list):
        return segmentation if isinstance(segmentation, dict) and segmentation else None, []
    flat = segmentation and not any(isinstance(each, list | dict) for each in segmentation)
    polygons = [segmentation] if flat else segmentation
    short = [polygon for polygon in polygons if len(polygon) in (0, 2, 4)]
    return [polygon for polygon in polygons if len(polygon) not in (0, 2, 4)] or None, short


def flat_box(bbox: object) -> Box | None:
    """Return the box of COCO's (left, top, width, height), None where it has no extent."""
    with suppress(TypeError, ValueError):
        x, y, width, height = map(float, bbox)
        if width > 0 and height > 0 and math.isfinite(x + y + width + height):
            return x, y, x + width, y + height
    return None


def region_of(region: Region, height: int, width: int) -> tuple[Region, np.ndarray]:
    """Return a region and its pixels, bool [H, W]; raises one of DAMAGES for damaged ones.

    Polygons too thin to have a pixel are void in their box.
    """
    if region.segmentation is None:
        return region, _in_box(region.box, height, width)
    inside = _pixels_of(region.segmentation, height, width)
    if inside.any() or isinstance(region.segmentation, dict):
        return region, inside
    box = box_of(point for each in region.segmentation for point in np.reshape(each, (-1, 2)))
    return region._replace(label=VOID), _in_box(box, height, width) if box else inside


def _pixels_of(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    from pycocotools import mask

    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"it is of {segmentation['size']} and the picture of {height, width}")
        if not isinstance(counts, list):
            return mask.decode(segmentation).astype(bool)
        if min(counts, default=0) < 0 or sum(counts) != height * width:
            raise ValueError(f"its run lengths do not add up to {height * width} pixels")
        return mask.decode(mask.frPyObjects(segmentation, height, width)).astype(bool)
    polygons = [np.reshape(polygon, (-1, 2)) for polygon in segmentation]
    polygons = [np.ravel(checked_points(polygon, height, width)) for polygon in polygons]
    flat = [polygon.tolist() for polygon in polygons]
    return mask.decode(mask.merge(mask.frPyObjects(flat, height, width))).astype(bool)


def _in_box(box: Box, height: int, width: int) -> np.ndarray:
    left, top, right, bottom = (math.floor(box[0]), math.floor(box[1]), *map(math.ceil, box[2:]))
    inside = np.zeros((height, width), bool)
    inside[max(top, 0) : max(bottom, top + 1, 0), max(left, 0) : max(right, left + 1, 0)] = True
    return inside


def drawn_crowds(annotations: Iterable[tuple[str, dict]]) -> set[str]:
    """Return the categories of a file whose regions with `iscrowd: 1` have their class.

    In COCO's own files such a region is a group that nobody outlined one by one. Datumaro, which
    CVAT exports with, sets it for every mask; supervision for objects with holes or several parts;
    V7 for those of several paths. So those are meant where most of a category has it, or where all
    that has holes or several parts in a file has it; but not where one lies over another region.
    """
    by_name: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for name, each in annotations:
        by_name[name][bool(each.get("iscrowd"))].append(each)
    plain = [parts_of_region(e.get("segmentation"))[0] for a, _ in by_name.values() for e in a]
    for_parts = not any(isinstance(parts, list) and len(parts) > 1 for parts in plain)
    for_parts = for_parts and all(
        _has_parts(e) for _, b in by_name.values() for e in b[:_LOOKED_AT]
    )
    return {
        name
        for name, (others, crowds) in by_name.items()
        if (for_parts or len(crowds) > len(others)) and not _cover(crowds[:_LOOKED_AT], others)
    }


def _decoded(annotation: dict, size: Sequence[int] = ()) -> np.ndarray:
    """Decode a region; one that is damaged has no pixels, and is left to what draws it."""
    with suppress(*DAMAGES):
        good, _ = parts_of_region(annotation.get("segmentation"))
        height, width = size or good["size"]
        if height * width <= _MOST_PIXELS:
            return _pixels_of(good, height, width)
    return np.zeros(size or (1, 1), bool)


def _has_parts(crowd: dict) -> bool:
    """Return whether a region has holes or several parts."""
    inside = _decoded(crowd)
    return ndimage.label(inside)[1] > 1 or (ndimage.binary_fill_holes(inside) != inside).any()


def _cover(crowds: Sequence[dict], others: Sequence[dict]) -> bool:
    """Return whether a crowd lies over another region of its category."""
    for crowd in crowds:
        here = [each for each in others if str(each["image_id"]) == str(crowd["image_id"])]
        above = _decoded(crowd) if here else None
        below = (_decoded(each, above.shape) for each in here)
        if any(above[inside].sum() > _WITHIN * inside.sum() > 0 for inside in below):
            return True
    return False
