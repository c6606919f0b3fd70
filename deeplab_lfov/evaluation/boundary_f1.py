"""BF, how well boundaries are met (Csurka et al., BMVC 2013), as arXiv 1511.00561 averages it."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from deeplab_lfov.errors import printable
from deeplab_lfov.voc import VOID

TOLERANCE = 0.0075
"""How far a boundary may be off, as a share of the picture's diagonal."""


class BoundaryF1:
    """The F1 of boundaries of each class in each picture whose truth has the class.

    A picture's BF is the mean over its classes, and `mean` that over the pictures. A boundary is
    the pixels of a class with one of the 4 neighbours in another class; void has none, and counts
    on neither side.
    """

    def __init__(self, class_names: Sequence[str]):
        self.class_names = tuple(class_names)
        self.sums = np.zeros((len(self.class_names) + 1, 2))
        """Of each class, and of the pictures' means: the sum, and how many there are."""

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W] of a picture."""
        counted = truth != VOID
        scores = {
            label: boundary_f1(truth == label, prediction == label, counted)
            for label in np.unique(truth[counted]).tolist()
        }
        for label, score in scores.items():
            self.sums[label] += score, 1
        if scores:
            self.sums[-1] += np.mean(list(scores.values())), 1

    @property
    def mean(self) -> float:
        """The mean over the pictures; nan without any."""
        return self._means()[-1]

    @property
    def of_classes(self) -> list[float]:
        """The mean of each class over the pictures that have it; nan without any."""
        return self._means()[:-1]

    def as_dict(self) -> dict[str, float | None]:
        """Return the mean and those of the classes as fractions; None for classes without any."""
        names = [*self.class_names, "mean"]
        means = [None if math.isnan(mean) else mean for mean in self._means()]
        return dict(zip(names, means, strict=True))

    def __str__(self) -> str:
        names = [*map(printable, self.class_names), "mean over pictures"]
        pad = max(map(len, names)) + 2
        rows = [
            f"{name:<{pad}}{'absent' if math.isnan(mean) else f'{mean:8.2%}':>8}"
            for name, mean in zip(names, self._means(), strict=True)
        ]
        head = f"{'class':<{pad}}{'BF':>8}  boundaries within {TOLERANCE:.2%} of the diagonal"
        return "\n".join([head, *rows])

    def _means(self) -> list[float]:
        return [float(total / count) if count else math.nan for total, count in self.sums]


def boundary_f1(truth: np.ndarray, prediction: np.ndarray, counted: np.ndarray) -> float:
    """Compute the F1 of one class's boundary, all bool [H, W]; 1 where neither has any."""
    ours, theirs = (_boundary(mask & counted, counted) for mask in (prediction, truth))
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    most = TOLERANCE * math.hypot(*truth.shape)
    precision = (ndimage.distance_transform_edt(~theirs)[ours] <= most).mean()
    recall = (ndimage.distance_transform_edt(~ours)[theirs] <= most).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _boundary(mask: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask that touch, at one of 4 sides, a pixel of another class."""
    return mask & ndimage.binary_dilation(counted & ~mask)
