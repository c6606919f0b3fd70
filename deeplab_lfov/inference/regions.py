"""Regions: pixels of one class that touch, by a side or a corner; none of them is void."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from deeplab_lfov.voc import VOID


class Verdict(NamedTuple):
    """How much of a class is in an image."""

    share: float = 0.0  # of the image's pixels
    regions: int = 0
    largest_region: int = 0  # pixels
    score: float | None = None  # the mean probability of the class in its largest region


def verdicts(
    labels: np.ndarray, bands: Iterable[tuple[slice, np.ndarray]] = ()
) -> dict[int, Verdict]:
    """Tell of each label that occurs how much is there: labels uint8 [H, W].

    bands: as of `Segmentation.probability_bands`; without them there are no scores.
    """
    found, largest = {}, np.full(labels.shape, VOID, np.uint8)
    for label, regions, sizes in _regions(labels):
        largest[regions == sizes.argmax()] = label
        found[label] = Verdict(sizes.sum() / labels.size, len(sizes) - 1, int(sizes.max()))
    sums = np.zeros(VOID)
    for rows, band in bands:
        inside = largest[rows] != VOID
        own = largest[rows][inside]
        sums += np.bincount(own, band[inside, own], VOID)
    return {n: v._replace(score=sums[n] / v.largest_region or None) for n, v in found.items()}


def without_small_regions(labels: np.ndarray, least: int) -> np.ndarray:
    """Give regions of fewer than `least` pixels the labels nearest to them: uint8 [H, W].

    Where all regions are that small nothing changes.
    """
    from scipy import ndimage  # --help need not wait for it

    small = np.zeros(labels.shape, bool)
    for _, regions, sizes in _regions(labels):
        small |= (sizes < least)[regions] & (regions > 0)
    if small.all() or not small.any():
        return labels
    return labels[tuple(ndimage.distance_transform_edt(small, None, False, True))]


def _regions(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each label, its regions numbered from 1 [H, W], and their sizes, that of 0 being 0."""
    from scipy import ndimage

    for label in np.unique(labels[labels != VOID]).tolist():
        regions, _ = ndimage.label(labels == label, np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0
        yield label, regions, sizes
