"""The confusion matrix of each picture of a list, kept as the few cells that are not 0."""

from collections.abc import Sequence

import numpy as np

from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.evaluation.metrics import ConfusionMatrix

_AT_ONCE = 64  # pictures whose whole matrices workers exchange


class PerPicture:
    """Collects with `add` what became of each picture, in the list's order.

    `cells` has for each an int64 [n, 3] of (truth, prediction, pixels).
    """

    def __init__(self, class_names: Sequence[str]):
        self.class_names = tuple(class_names)
        self.cells: list[np.ndarray] = []

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels of one shape; raises ValueError as `ConfusionMatrix.update` does."""
        matrix = ConfusionMatrix(self.class_names)
        matrix.update(truth, prediction)
        self.cells.append(_cells(matrix.counts))

    def matrix(self, number: int) -> ConfusionMatrix:
        """Return the confusion matrix of a picture."""
        matrix = ConfusionMatrix(self.class_names)
        truth, prediction, pixels = self.cells[number].T
        matrix.counts[truth, prediction] = pixels
        return matrix

    def as_list(self, names: Sequence[str]) -> list[dict]:
        """Return for each picture, by its name, its mean IoU (None without any) and its cells."""
        ious = [self.matrix(number).mean_iou for number in range(len(names))]
        return [
            {"name": name, "mean_iou": None if np.isnan(iou) else iou, "confusion": cells.tolist()}
            for name, iou, cells in zip(names, ious, self.cells, strict=True)
        ]

    def gather(self, num_pictures: int, replicas: Replicas) -> None:
        """Learn of the pictures that other workers have added; every one has to call it.

        This worker has added those that `replicas.share` gives it. Raises WorkerGoneError.
        """
        mine = {number: at for at, number in enumerate(replicas.share(range(num_pictures)))}
        cells = []
        for first in range(0, num_pictures, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, num_pictures))
            empty = np.zeros_like(ConfusionMatrix(self.class_names).counts)
            counts = [self.matrix(mine[n]).counts if n in mine else empty for n in numbers]
            cells += map(_cells, replicas.sum(np.stack(counts)))
        self.cells = cells


def _cells(counts: np.ndarray) -> np.ndarray:
    places = np.argwhere(counts)
    return np.column_stack([places, counts[tuple(places.T)]])
