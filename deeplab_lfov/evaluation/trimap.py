"""The mean IoU near the boundaries of objects (arXiv 1412.7062, section 5: the trimap figure)."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.voc import VOID


class TrimapMatrices:
    """A ConfusionMatrix per width, over the pixels at most so many steps from a boundary.

    A pixel's distance is the number of steps to the nearest pixel of another label in the truth,
    where a step goes to one of the 8 neighbors and void is a label: 1 for the pixels that touch a
    boundary. On VOC, where void runs between all objects, these are the authors' bands around void
    (MyVOCevalsegBoundary.m: dilation by a square of 2 * width + 1). Void pixels never count, and
    pictures of one label have no boundary.

    widths: in pixels. `matrices` are by width; `shares` are of the `num_pixels` that are not void.
    """

    def __init__(self, class_names: Sequence[str], widths: Sequence[int]):
        self.matrices = {width: ConfusionMatrix(class_names) for width in widths}
        self.num_pixels = 0

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W]; raises ValueError as `ConfusionMatrix.update` does."""
        self.num_pixels += np.count_nonzero(truth != VOID)
        distance = boundary_distance(truth)
        for width, matrix in self.matrices.items():
            band = np.where(distance <= width, truth, VOID)
            matrix.update(band, prediction)

    @property
    def shares(self) -> dict[int, float]:
        """The share of pixels in the band, by width; nan where every pixel was void."""
        whole = self.num_pixels or float("nan")
        return {width: float(m.counts.sum() / whole) for width, m in self.matrices.items()}

    def as_dict(self) -> dict[str, float | None]:
        """Return the mean IoU as a fraction by width; None where the band is empty."""
        return {str(width): m.as_dict()["mean_iou"] for width, m in self.matrices.items()}

    def __str__(self) -> str:
        rows = [f"{'pixels to the boundary':<25}{'mean IoU':>8}  share of pixels"]
        for (width, matrix), share in zip(self.matrices.items(), self.shares.values(), strict=True):
            rows.append(f"{f'at most {width}':<25}{matrix.mean_iou:8.2%}{share:17.2%}")
        return "\n".join(rows)


def boundary_distance(labels: np.ndarray) -> np.ndarray:
    """Count the steps to the nearest pixel of another label: [H, W] -> int32 [H, W].

    Where all labels are the same they are larger than any width.
    """
    at_boundary = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    if not at_boundary.any():
        return np.full(labels.shape, np.iinfo(np.int32).max, np.int32)
    return 1 + ndimage.distance_transform_cdt(~at_boundary, "chessboard")
