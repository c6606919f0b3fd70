"""The VOC metric: one confusion matrix over a whole list (VOC devkit, VOCevalseg.m)."""

from collections.abc import Sequence

import numpy as np

from deeplab_lfov.errors import printable
from deeplab_lfov.voc import VOID


class ConfusionMatrix:
    """Counts of pixels, `counts[truth, prediction]` int64 [C, C]; `str()` of it is the report.

    Fractions are nan where they are 0/0: a class that is neither in the truth nor predicted has no
    IoU and is left out of the mean.
    """

    def __init__(self, class_names: Sequence[str]):
        self.class_names = tuple(class_names)
        self.counts = np.zeros((len(self.class_names),) * 2, np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels of one shape, integers; pixels whose truth is void do not count.

        Raises ValueError for shapes that differ and labels that are no class.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth is {truth.shape} and prediction {prediction.shape}")
        size, counted = len(self.class_names), truth != VOID
        truth, prediction = truth[counted].astype(np.int64), prediction[counted]
        if truth.size and not max(truth.max(), prediction.max()) < size:
            raise ValueError(f"labels must be below {size} or void ({VOID})")
        counts = np.bincount(truth * size + prediction, minlength=size * size)
        self.counts += counts.reshape(size, size)

    @property
    def iou(self) -> np.ndarray:
        """The IoU of each class, float64 [C]: hits / (hits + false positives + false negatives)."""
        return _ratio(self._hits, self._truths + self._predictions - self._hits)

    @property
    def mean_iou(self) -> float:
        """The mean of `iou` over the classes that occur in the truth or the prediction."""
        return _mean(self.iou)

    @property
    def precision(self) -> np.ndarray:
        """The share of each class's predictions that is right, float64 [C]."""
        return _ratio(self._hits, self._predictions)

    @property
    def recall(self) -> np.ndarray:
        """The share of each class in the truth that is found, float64 [C]."""
        return _ratio(self._hits, self._truths)

    @property
    def shares(self) -> np.ndarray:
        """The share of each class in the truth's pixels, float64 [C]."""
        return _ratio(self._truths, self._truths.sum())

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels labelled right."""
        return float(_ratio(self._hits.sum(), self.counts.sum()))

    @property
    def mean_accuracy(self) -> float:
        """The mean over the classes in the truth of their share of pixels labelled right."""
        return _mean(self.recall)

    @property
    def frequency_weighted_iou(self) -> float:
        """The mean of `iou` weighted by the classes' shares of the truth."""
        return float(_ratio(np.nansum(self.iou * self._truths), self.counts.sum()))

    def as_dict(self) -> dict:
        """Return all numbers as fractions, `iou` by class name; None where one is 0/0."""
        numbers = {
            "mean_iou": self.mean_iou,
            "pixel_accuracy": self.pixel_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "frequency_weighted_iou": self.frequency_weighted_iou,
        }
        numbers = {name: _none_if_nan(number) for name, number in numbers.items()}
        iou = {name: _none_if_nan(i) for name, i in zip(self.class_names, self.iou, strict=True)}
        return numbers | {"iou": iou}

    def __str__(self) -> str:
        names = [printable(name) for name in self.class_names]
        pad = max(map(len, names)) + 2
        rows = [f"{'class':<{pad}}{'IoU':>8}"]
        for name, iou in zip(names, self.iou, strict=True):
            rows.append(f"{name:<{pad}}{'absent' if np.isnan(iou) else f'{iou:8.2%}':>8}")
        absent = int(np.isnan(self.iou).sum())
        note = f"  ({absent} absent from truth and prediction left out)" if absent else ""
        rows.append("")
        rows.append(f"{'pixel accuracy':<25}{self.pixel_accuracy:8.2%}")
        rows.append(f"{'mean accuracy':<25}{self.mean_accuracy:8.2%}")
        rows.append(f"{'frequency weighted IoU':<25}{self.frequency_weighted_iou:8.2%}")
        rows.append(f"{'mean IoU':<25}{self.mean_iou:8.2%}{note}")
        return "\n".join(rows)

    @property
    def _hits(self) -> np.ndarray:
        return self.counts.diagonal()

    @property
    def _truths(self) -> np.ndarray:
        return self.counts.sum(axis=1)

    @property
    def _predictions(self) -> np.ndarray:
        return self.counts.sum(axis=0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def _none_if_nan(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
