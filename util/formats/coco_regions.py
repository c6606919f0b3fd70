"""The regions of COCO's instances, polygons or run lengths, drawn by pycocotools."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.voc import VOID
from util.formats.json_files import checked_points, size_of


class Region(NamedTuple):
    """A label, and the pixels that have it, in COCO's form."""

    label: int
    segmentation: object


def draw_regions(
    path: Path, image: Path, said: tuple[object, object], regions: Sequence[Region]
) -> np.ndarray:
    """Draw the regions of an image, the larger first: labels uint8 [H, W].

    said: (height, width) as the JSON has them. Raises UserError for another size of the picture,
    and for regions that are damaged.
    """
    size = size_of(image, said)
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
