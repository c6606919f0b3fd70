"""How good predictions are at the boundaries of objects: BF, and the mean IoU near boundaries.

BF is that of Csurka et al. (BMVC 2013), as arXiv 1511.00561 averages it; the mean IoU by the
distance from a boundary is the trimap figure of arXiv 1412.7062, section 5.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from deeplab_lfov.console import class_table
from deeplab_lfov.evaluation.metrics import ConfusionMatrix, none_if_nan, percent
from deeplab_lfov.voc import VOID

TOLERANCE = 0.0075
"""How far a boundary may be off, as a share of the picture's diagonal."""


class BoundaryF1:
    """The F1 of boundaries of each class in each picture whose truth has the class.

    A picture's BF is the mean over its classes. A boundary is the pixels of a class with one of the
    4 neighbours in another class; void has none, and counts on neither side.
    """

    def __init__(self, class_names: Sequence[str]):
        self.class_names = tuple(class_names)
        self.sums = np.zeros((len(self.class_names) + 1, 2))
        """Of each class, and of the pictures' means: the sum, and how many there are."""

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W] of a picture."""
        counted, scores = truth != VOID, []
        for label in np.unique(truth[counted]):
            scores.append(boundary_f1(truth == label, prediction == label, counted))
            self.sums[label] += scores[-1], 1
        if scores:
            self.sums[-1] += np.mean(scores), 1

    @property
    def means(self) -> list[float]:
        """Each class's mean over the pictures that have it, and last over all; nan without any."""
        return [float(total / count) if count else math.nan for total, count in self.sums]

    def as_dict(self) -> dict[str, float | None]:
        """Return the `means` as fractions by class name and `mean`; None without any."""
        means = map(none_if_nan, self.means)
        return dict(zip((*self.class_names, "mean"), means, strict=True))

    def __str__(self) -> str:
        names = "class", *self.class_names, "mean over pictures"
        head, *rows = class_table(names, ["BF", *map(percent, self.means)])
        return "\n".join([f"{head}  boundaries within {TOLERANCE:.2%} of the diagonal", *rows])


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
    return mask & ndimage.binary_dilation(counted & ~mask)


class TrimapMatrices:
    """A ConfusionMatrix per width, over the pixels at most so many steps from a boundary.

    The steps are those of `boundary_distance`, for which void is a label. On VOC, where void runs
    between all objects, these are the authors' bands around void (MyVOCevalsegBoundary.m: dilation
    by a square of 2 * width + 1). Void pixels never count. widths: in pixels.
    """

    def __init__(self, class_names: Sequence[str], widths: Sequence[int]):
        self.matrices = {width: ConfusionMatrix(class_names) for width in widths}
        self.num_pixels = 0

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W]; raises ValueError as `ConfusionMatrix.update` does."""
        self.num_pixels += np.count_nonzero(truth != VOID)
        distance = boundary_distance(truth)
        for width, matrix in self.matrices.items():
            matrix.update(np.where(distance <= width, truth, VOID), prediction)

    @property
    def shares(self) -> dict[int, float]:
        """The share of the pixels that are not void in the band, by width; nan without any."""
        whole = self.num_pixels or math.nan
        return {width: float(m.counts.sum() / whole) for width, m in self.matrices.items()}

    def as_dict(self) -> dict[str, float | None]:
        """Return the mean IoU as a fraction by width; None where the band is empty."""
        return {str(width): m.as_dict()["mean_iou"] for width, m in self.matrices.items()}

    def __str__(self) -> str:
        rows = [f"{'pixels to the boundary':<25}{'mean IoU':>8}  share of pixels"]
        for width, share in self.shares.items():
            mean_iou = self.matrices[width].mean_iou
            rows.append(f"{f'at most {width}':<25}{mean_iou:8.2%}{share:17.2%}")
        return "\n".join(rows)


def boundary_distance(labels: np.ndarray) -> np.ndarray:
    """Count the steps to the nearest pixel of another label: [H, W] -> int32 [H, W].

    A step goes to one of the 8 neighbors. Where all labels are the same they are more than any
    width.
    """
    at_boundary = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    if not at_boundary.any():
        return np.full(labels.shape, np.iinfo(np.int32).max, np.int32)
    return 1 + ndimage.distance_transform_cdt(~at_boundary, "chessboard")
