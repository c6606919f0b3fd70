"""Mean field in a dense CRF (Krähenbühl and Koltun, NIPS 2011), by numpy and scipy alone.

Every pixel is joined to every other by two Gaussian kernels, one of position and color (bilateral)
and one of position alone, under the Potts model. Mean field alternates between sending messages,
which is filtering on the permutohedral lattice, and updating every pixel's probabilities.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import sparse

from deeplab_lfov.crf.dense_crf import DenseCRF
from deeplab_lfov.crf.permutohedral import PermutohedralLattice
from deeplab_lfov.overlap import num_processors

LEAST = 1e-5
"""What probabilities below it count as, so that no label is impossible."""

SAFE = 80  # the exponential of more may exceed float32

CHUNK = 8192
"""Pixels updated at a time, so that what belongs to them stays in the cache."""


def refine(crf: DenseCRF, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Refine probabilities float32 [H, W, C] of a picture uint8 RGB [H, W, 3] with a CRF's kernels.

    Labels that cannot win at any pixel get no messages.
    """
    flat = probabilities.reshape(-1, probabilities.shape[2]).astype(np.float32, copy=False)
    with ThreadPoolExecutor(num_processors()) as pool:
        kernels = _Kernels(crf, image, pool)
        refined = _mean_field(kernels, flat.clip(LEAST, 1), crf.num_iterations)
    return refined.reshape(probabilities.shape)


class _Kernels:
    """Both kernels of a picture as one sparse matrix, whose rows the threads of a pool share."""

    def __init__(self, crf: DenseCRF, image: np.ndarray, pool: ThreadPoolExecutor):
        height, width = image.shape[:2]
        rows, columns = np.mgrid[:height, :width].reshape(2, -1).astype(np.float32)
        position, color = np.stack([columns, rows]), image.reshape(-1, 3).T
        bilateral = [position / np.float32(crf.bi_xy_std), color / np.float32(crf.bi_rgb_std)]
        features = [np.concatenate(bilateral), position / np.float32(crf.pos_xy_std)]
        self.pool = pool
        self.lattices = list(pool.map(PermutohedralLattice, features))
        self.strengths = [np.float32(crf.bi_w), np.float32(crf.pos_w)]
        normalized = list(pool.map(_normalized, self.lattices))
        self.num_bilateral = normalized[0].shape[1]
        weights = sparse.hstack(normalized, "csr")
        ends = np.linspace(0, height * width, num_processors() + 1).astype(int)
        self.shares = [_Share(weights, *ends_) for ends_ in itertools.pairwise(ends)]

    def blurred(self, values: np.ndarray) -> np.ndarray:
        """Splat pixels' values float32 [N, C], blur and weigh them: vertices' values [V, C]."""
        splatted = sum(
            self.pool.map(lambda share: share.weights.T @ values[share.pixels], self.shares)
        )
        parts = np.split(splatted, [self.num_bilateral])

        def weighed(kernel: int) -> np.ndarray:
            return self.lattices[kernel].blur(parts[kernel]) * self.strengths[kernel]

        return np.concatenate(list(self.pool.map(weighed, range(2))))

    def messages(self, values: np.ndarray) -> np.ndarray:
        """Sum the values of all pixels, weighted by both kernels: float32 [N, C]."""
        vertices = self.blurred(values)
        return np.concatenate([share.weights @ vertices for share in self.shares])

    def update(self, values: np.ndarray, of: Callable[[slice, np.ndarray], np.ndarray]) -> None:
        """Set pixels' values [N, C] to what `of` makes of their messages, some rows at a time."""
        vertices = self.blurred(values)

        def update_share(share: _Share) -> None:
            for rows, weights in share.chunks:
                values[rows] = of(rows, weights @ vertices)

        list(self.pool.map(update_share, self.shares))


class _Share:
    """Rows first ... last - 1 of the pixels x vertices matrix: those of one thread."""

    def __init__(self, weights: sparse.csr_array, first: int, last: int):
        self.pixels, self.weights = slice(first, last), weights[first:last]
        self.chunks = [
            (slice(start, end), weights[start:end])
            for start in range(first, last, CHUNK)
            for end in [min(start + CHUNK, last)]
        ]


def _normalized(lattice: PermutohedralLattice) -> sparse.csr_array:
    """Scale the lattice's weights, so that filtering with them is normalized symmetrically."""
    weights = lattice.weights
    sums = lattice.filter(np.ones((weights.shape[0], 1), np.float32))[:, 0]
    by_pixel = 1 / np.sqrt(sums + np.float32(1e-20))
    data = weights.data * np.repeat(by_pixel, np.diff(weights.indptr))
    return sparse.csr_array((data, weights.indices, weights.indptr), weights.shape)


def _mean_field(kernels: _Kernels, probabilities: np.ndarray, num_iterations: int) -> np.ndarray:
    """Run algorithm 1 of the paper, float32 [N, C] -> [N, C].

    Messages lie between 0 and `most`. A label that could not win at any pixel even with the most
    stays out of the iterations; `others` is what such labels weigh against those that are `kept`.
    """
    most = kernels.messages(np.ones((len(probabilities), 1), np.float32))
    can_win = _can_win(probabilities, most)
    kept = slice(None) if can_win.all() else np.flatnonzero(can_win)  # a slice copies nothing
    left = np.flatnonzero(~can_win)
    with np.errstate(divide="ignore"):
        others = np.log(probabilities[:, left].sum(axis=1, keepdims=True)) - most / 2
    unary = np.log(probabilities[:, kept]) - most / 2  # keeps the exponentials within float32
    ones = np.ones((unary.shape[1], 1), np.float32)
    is_safe = most.max(initial=0) < 2 * SAFE

    def distribution(rows: slice, logits: np.ndarray) -> np.ndarray:
        logits += unary[rows]
        rest = others[rows]
        if not is_safe:
            top = np.maximum(logits.max(axis=1, keepdims=True), rest)
            logits, rest = logits - top, rest - top
        np.exp(logits, out=logits)
        logits /= logits @ ones + np.exp(rest)
        return logits

    refined = probabilities / probabilities.sum(axis=1, keepdims=True)
    iterated = np.ascontiguousarray(refined[:, kept])
    for _ in range(num_iterations):
        kernels.update(iterated, distribution)
    spare = (1 - iterated.sum(axis=1, keepdims=True)).clip(0)
    before = refined[:, left]
    refined[:, left] = before * (spare / before.sum(axis=1, keepdims=True).clip(1e-30))
    refined[:, kept] = iterated
    return refined


def _can_win(probabilities: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Tell which labels [C] the largest message would make the best at some pixel."""
    with np.errstate(over="ignore"):
        factor = np.exp(most) / probabilities.max(axis=1, keepdims=True)
        return (probabilities * factor).max(axis=0, initial=0) >= 1
