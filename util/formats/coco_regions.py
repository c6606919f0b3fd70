"""The regions of COCO's annotations: polygons, run lengths, and boxes where there is neither."""

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from deeplab_lfov.voc import VOID
from util.formats.json_files import Box, box_of, checked_points

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


def region_of(region: Region, height: int, width: int) -> tuple[Region, np.ndarray]:
    """Return a region and its pixels, bool [H, W]; raises what damaged ones raise.

    Polygons too thin to have a pixel are void in their box.
    """
    if region.segmentation is None:
        return region, _in_box(region.box, height, width)
    inside = pixels_of(region.segmentation, height, width)
    if inside.any() or isinstance(region.segmentation, dict):
        return region, inside
    box = box_of(point for each in region.segmentation for point in np.reshape(each, (-1, 2)))
    return region._replace(label=VOID), _in_box(box, height, width) if box else inside


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


def drawn_crowds(annotations: Sequence[dict], names: dict[int, str]) -> set[str]:
    """Return the names of a file's categories whose regions with `iscrowd: 1` have their class.

    In COCO's own files such a region is a group that nobody outlined one by one. Datumaro, which
    CVAT exports with, sets it for every mask; supervision for objects with holes or several parts;
    V7 for those of several paths. So those are meant where most of a category has it, or where all
    that has holes or several parts in a file has it; but not where one lies over another region.
    """
    by_name: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for each in annotations:
        by_name[names[int(each["category_id"])]][bool(each.get("iscrowd"))].append(each)
    return {
        name
        for name, (others, crowds) in by_name.items()
        if crowds
        and (len(crowds) > len(others) or _written_for_parts(by_name.values()))
        and not _cover(crowds, others)
    }


def _written_for_parts(groups: Collection[tuple[list, list]]) -> bool:
    """Return whether crowds are all that has holes or several parts in a file."""
    plain = (parts_of_region(e.get("segmentation"))[0] for others, _ in groups for e in others)
    if any(isinstance(parts, list) and len(parts) > 1 for parts in plain):
        return False
    return all(
        ndimage.label(mask)[1] > 1 or (ndimage.binary_fill_holes(mask) != mask).any()
        for _, crowds in groups
        for _, mask in _masks(crowds)
    )


def _masks(
    annotations: Sequence[dict], size: Sequence[int] = ()
) -> Iterator[tuple[str, np.ndarray]]:
    """Decode regions, each behind the id of its image; damaged ones are left to what draws them."""
    for each in annotations[:_LOOKED_AT]:
        try:
            good, _ = parts_of_region(each.get("segmentation"))
            height, width = size or good["size"]
            if height * width <= _MOST_PIXELS:
                yield str(each["image_id"]), pixels_of(good, height, width)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue


def _cover(crowds: Sequence[dict], others: Sequence[dict]) -> bool:
    """Return whether a crowd lies over another region of its category."""
    by_image = defaultdict(list)
    for each in others:
        by_image[str(each["image_id"])].append(each)
    crowds = [each for each in crowds if str(each["image_id"]) in by_image]
    return any(
        crowd[other].sum() > _WITHIN * other.sum() > 0
        for image, crowd in _masks(crowds)
        for _, other in _masks(by_image[image], crowd.shape)
    )
