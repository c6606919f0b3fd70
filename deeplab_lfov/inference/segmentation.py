"""From the network's scores on its grid to scores, probabilities and labels of every pixel."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_lfov.distributed.devices import explaining_lack_of_memory
from deeplab_lfov.inference.regions import without_small_regions
from deeplab_lfov.inference.settings import Refine
from deeplab_lfov.network.grid import interpolate, likeliest_labels
from deeplab_lfov.network.layers import STRIDE
from deeplab_lfov.voc import VOID

BAND = 2**18
"""Pixels that are computed at a time, so that only results grow with the picture."""

SMALLER = "take it in pieces with --tile 512, or shrink it with --max_side 1024"
"""What helps against a lack of memory."""


class View(NamedTuple):
    """One way to look at a picture: resized by `scale`, and mirrored if `flip`."""

    scale: float = 1.0
    flip: bool = False

    def picture(self, image: np.ndarray) -> np.ndarray:
        """Resize and mirror a picture for this view: uint8 RGB [H, W, 3] -> uint8 RGB [h, w, 3]."""
        if self.scale != 1:
            size = tuple(self.length(pixels) for pixels in image.shape[1::-1])
            picture = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
            image = np.asarray(picture)
        return image[:, ::-1] if self.flip else image

    def length(self, pixels: int) -> int:
        """Return the length in pixels, on this view, of a length in the picture."""
        return max(1, round(pixels * self.scale))

    def rows(self, height: int) -> np.ndarray:
        """Return where the picture's rows lie on this view's grid, float32 [height] in cells."""
        length = self.length(height)
        scaled = (np.arange(height) + 0.5) * (length / height) - 0.5
        return (scaled.clip(0, length - 1) / STRIDE).astype(np.float32)

    def columns(self, width: int) -> np.ndarray:
        """Return where the picture's columns lie on this view's grid, float32 [width] in cells."""
        return self.rows(width)[::-1] if self.flip else self.rows(width)


class Segmentation:
    """One picture as the network sees it; every pixel is computed when it is asked for.

    grids: the scores float32 [h, w, C] of each of `views`. Over several views, probabilities are
    averaged after the softmax. threshold: a label and the probability from which on pixels have it.
    min_region: as `without_small_regions` takes it.
    """

    def __init__(
        self,
        image: np.ndarray,
        views: Sequence[View],
        grids: Sequence[np.ndarray | tf.Tensor],
        refine: Refine | None = None,
        threshold: tuple[int, float] | None = None,
        min_region: int = 1,
    ):
        self.threshold, self.min_region = threshold, min_region
        self.image, self.views, self.grids, self.refine = image, views, grids, refine

    def labels(self, min_confidence: float | None = None) -> np.ndarray:
        """Return the most probable label at every pixel, uint8 [H, W], after the CRF if any.

        Below a threshold it is the most probable of the others. min_confidence: pixels whose label
        is less probable are VOID.
        """
        with memory_for(*self.image.shape[:2]):
            parts = [self._refined] if self.refine else self._bands()
            labels = np.concatenate([self._labels(part, min_confidence) for part in parts])
        return without_small_regions(labels, self.min_region) if self.min_region > 1 else labels

    def probabilities(self) -> np.ndarray:
        """Return probabilities, float32 [H, W, C], that sum to 1 over C; after the CRF if any."""
        with memory_for(*self.image.shape[:2]):
            probabilities = np.concatenate([tf.nn.softmax(b).numpy() for b in self._bands()])
            return self.refine(self.image, probabilities) if self.refine else probabilities

    def probability_bands(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield from top to bottom which rows, and their probabilities, float32 [rows, W, C]."""
        top = 0
        with memory_for(*self.image.shape[:2]):
            for part in [self._refined] if self.refine else self._bands():
                band = part if self.refine else tf.nn.softmax(part).numpy()
                yield slice(top, top + len(band)), band
                top += len(band)

    @cached_property
    def _refined(self) -> np.ndarray:
        return self.probabilities()

    def scores(self) -> np.ndarray:
        """Return the scores before softmax and CRF, float32 [H, W, C]: see `score_bands`."""
        with memory_for(*self.image.shape[:2]):
            return np.concatenate(list(self.score_bands()))

    def score_bands(self) -> Iterator[np.ndarray]:
        """Yield the scores from top to bottom, float32 [rows, W, C], some rows at a time.

        With several views they are the logarithms of the averaged probabilities.
        """
        with memory_for(*self.image.shape[:2]):
            for band in self._bands():
                yield band.numpy()

    def _labels(self, part: np.ndarray | tf.Tensor, min_confidence: float | None) -> np.ndarray:
        # part: some rows' probabilities after the CRF, without it their scores
        labels = likeliest_labels(part).numpy()
        if self.threshold is None and min_confidence is None:
            return labels
        probabilities = part if self.refine else tf.nn.softmax(part).numpy()
        if self.threshold:
            label, least = self.threshold
            others = np.delete(np.asarray(part), label, axis=-1).argmax(axis=-1)
            is_it = probabilities[..., label] >= np.float32(least)
            labels = np.where(is_it, label, others + (others >= label)).astype(np.uint8)
        if min_confidence is not None:
            own = np.take_along_axis(probabilities, labels[..., np.newaxis], -1)[..., 0]
            labels[own < min_confidence] = VOID
        return labels

    def _bands(self) -> Iterator[tf.Tensor]:
        height, width = self.image.shape[:2]
        rows = [view.rows(height) for view in self.views]
        columns = [view.columns(width) for view in self.views]
        for top in range(0, height, step := max(1, BAND // width)):
            here = [r[top : top + step] for r in rows]
            pixels = [_pixels(*view) for view in zip(self.grids, here, columns, strict=True)]
            yield pixels[0] if len(pixels) == 1 else _log_mean_probabilities(tf.stack(pixels))


def memory_for(height: int, width: int) -> AbstractContextManager:
    """Enter for work on a picture of so many pixels: UserError says where memory lacks."""
    of = f" for a picture of {height} x {width} pixels"
    return explaining_lack_of_memory(lambda: SMALLER, of)


def _pixels(grid: np.ndarray | tf.Tensor, rows: np.ndarray, columns: np.ndarray) -> tf.Tensor:
    """Interpolate some rows of a grid; only the cells around them are read."""
    first = int(rows[0])
    return interpolate(grid[first : int(rows[-1]) + 2], rows, columns, first)


def _log_mean_probabilities(scores: tf.Tensor) -> tf.Tensor:
    """Average the probabilities of the views, the first axis, and return their logarithms."""
    logs = tf.reduce_logsumexp(tf.nn.log_softmax(scores), axis=0)
    return logs - tf.math.log(tf.cast(tf.shape(scores)[0], tf.float32))
