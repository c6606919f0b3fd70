"""The VOC metric: one confusion matrix over a whole list (VOC devkit, VOCevalseg.m)."""

from collections.abc import Iterator, Sequence

import numpy as np

from deeplab_lfov.console import class_table
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
        return iou(self.sums())

    @property
    def mean_iou(self) -> float:
        """The mean of `iou` over the classes that occur in the truth or the prediction."""
        return _mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels labelled right."""
        return float(ratio(self.counts.trace(), self.counts.sum()))

    def numbers(self) -> dict[str, float]:
        """Return the numbers over all classes by their names in words.

        The mean accuracy is over the classes in the truth, of their share of pixels labelled right;
        the frequency weighted IoU by the classes' shares of the truth.
        """
        hits, truths, _ = self.sums()
        return {
            "mean IoU": self.mean_iou,
            "pixel accuracy": self.pixel_accuracy,
            "mean accuracy": _mean(ratio(hits, truths)),
            "frequency weighted IoU": float(ratio(np.nansum(self.iou * truths), truths.sum())),
        }

    def as_dict(self) -> dict:
        """Return all numbers as fractions, `iou` by class name; None where one is 0/0."""
        numbers = {name.lower().replace(" ", "_"): n for name, n in self.numbers().items()}
        return {name: none_if_nan(number) for name, number in numbers.items()} | {
            "iou": dict(zip(self.class_names, map(none_if_nan, self.iou), strict=True))
        }

    def __str__(self) -> str:
        rows = class_table(["class", *self.class_names], ["IoU", *map(percent, self.iou)])
        mean, *others = (f"{name:<25}{share:8.2%}" for name, share in self.numbers().items())
        absent = int(np.isnan(self.iou).sum())
        note = f"  ({absent} absent from truth and prediction left out)" if absent else ""
        return "\n".join([*rows, "", *others, mean + note])

    def sums(self) -> np.ndarray:
        """Return the pixels of each class that are hits, in the truth, and predicted, [3, C]."""
        counts = self.counts
        return np.stack([counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)])


def iou(sums: np.ndarray) -> np.ndarray:
    """Compute the IoU of each class from sums [..., 3, C]: float64 [..., C], nan for 0/0."""
    hits, truths, predictions = np.moveaxis(sums, -2, 0)
    return ratio(hits, truths + predictions - hits)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide counts; nan for 0/0."""
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def none_if_nan(number: float) -> float | None:
    """Return a fraction as JSON has it: None for 0/0."""
    return None if np.isnan(number) else float(number)


def percent(share: float) -> str:
    """Write a fraction of a class in a table; `absent` for 0/0."""
    return "absent" if np.isnan(share) else f"{share:.2%}"


class PerPicture:
    """Collects with `add` what became of each picture, in the list's order, and of all in `whole`.

    `names` are the pictures', and `cells` has for each what is not 0 of its confusion matrix, as
    int64 [n, 3] of (truth, prediction, pixels).
    """

    def __init__(self, class_names: Sequence[str]):
        self.class_names, self.whole = tuple(class_names), ConfusionMatrix(class_names)
        self.names: list[str] = []
        self.cells: list[np.ndarray] = []

    def add(self, name: str, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels of one shape; raises ValueError as `ConfusionMatrix.update` does."""
        matrix = ConfusionMatrix(self.class_names)
        matrix.update(truth, prediction)
        self.whole.counts += matrix.counts
        places = np.argwhere(matrix.counts)
        self.names.append(name)
        self.cells.append(np.column_stack([places, matrix.counts[tuple(places.T)]]))

    def matrices(self) -> Iterator[ConfusionMatrix]:
        """Yield the confusion matrix of each picture."""
        for cells in self.cells:
            matrix = ConfusionMatrix(self.class_names)
            truth, prediction, pixels = cells.T
            matrix.counts[truth, prediction] = pixels
            yield matrix

    def mean_ious(self) -> list[float]:
        """Return the mean IoU of each picture; nan of one that is all void."""
        return [matrix.mean_iou for matrix in self.matrices()]

    def as_list(self) -> list[dict]:
        """Return for each picture, by its name, its mean IoU (None without any) and its cells."""
        return [
            {"name": name, "mean_iou": none_if_nan(iou), "confusion": cells.tolist()}
            for name, iou, cells in zip(self.names, self.mean_ious(), self.cells, strict=True)
        ]
