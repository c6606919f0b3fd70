"""The regions of COCO's annotations: polygons, run lengths, and boxes where there is neither."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from util.formats.json_files import Box, checked_points


class Region(NamedTuple):
    """A label, and the pixels that have it: polygons or run lengths in COCO's form, or the box.

    is_crowd: it is void and lies below all others.
    """

    label: int
    segmentation: list | dict | None
    is_crowd: bool = False
    box: Box | None = None


def parts_of_region(segmentation: object) -> tuple[list | dict | None, list[list]]:
    """Return what can be drawn of a segmentation, and its polygons of fewer than three points.

    A flat list is one polygon.
    """
    if isinstance(segmentation, dict):
        return segmentation or None, []
    if not isinstance(segmentation, list):
        return None, []
    flat = segmentation and not any(isinstance(each, list | dict) for each in segmentation)
    polygons = [segmentation] if flat else segmentation
    is_short = [len(polygon) < 6 and len(polygon) % 2 == 0 for polygon in polygons]
    good = [polygon for polygon, short in zip(polygons, is_short, strict=True) if not short]
    return good or None, [*itertools.compress(polygons, is_short)]


def flat_box(bbox: object) -> Box | None:
    """Return the box of COCO's (left, top, width, height), None where it has no extent."""
    try:
        x, y, width, height = map(float, bbox)
    except (TypeError, ValueError):
        return None
    finite = all(map(math.isfinite, (x, y, width, height)))
    return (x, y, x + width, y + height) if finite and width > 0 and height > 0 else None


def region_of(region: Region, height: int, width: int) -> np.ndarray:
    """Return which pixels are inside, bool [H, W]; raises what damaged ones raise."""
    if region.segmentation is None:
        return _in_box(region.box, height, width)
    return pixels_of(region.segmentation, height, width)


def pixels_of(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """Return the pixels of polygons or run lengths, bool [H, W]; raises what damaged ones raise."""
    from pycocotools import mask

    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"it is of {segmentation['size']} and the picture of {height, width}")
        if isinstance(segmentation["counts"], list):
            return _from_counts(segmentation["counts"], height, width)
        return mask.decode(segmentation).astype(bool)
    polygons = [np.reshape(polygon, (-1, 2)) for polygon in segmentation]
    polygons = [checked_points(polygon, height, width) for polygon in polygons]
    flat = [[length for point in polygon for length in point] for polygon in polygons]
    return mask.decode(mask.merge(mask.frPyObjects(flat, height, width))).astype(bool)


def _in_box(box: Box, height: int, width: int) -> np.ndarray:
    left, top, right, bottom = (math.floor(box[0]), math.floor(box[1]), *map(math.ceil, box[2:]))
    inside = np.zeros((height, width), bool)
    inside[max(top, 0) : max(bottom, top + 1, 0), max(left, 0) : max(right, left + 1, 0)] = True
    return inside


def _from_counts(counts: list[int], height: int, width: int) -> np.ndarray:
    """Decode run lengths, of pixels outside first, that go down the columns."""
    runs = np.array(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.max(initial=0) > height * width:
        raise ValueError("its runs are no lengths")
    if runs.sum() != height * width:
        raise ValueError(f"its runs are {runs.sum()} pixels long")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
