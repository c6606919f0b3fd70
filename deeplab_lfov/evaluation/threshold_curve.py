"""What the threshold of a class does to its precision, recall, F1 and IoU, and which is best."""

import re
import shlex
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import check_replaceable
from deeplab_lfov.errors import printable
from deeplab_lfov.evaluation.metrics import none_if_nan, ratio
from deeplab_lfov.inference.visualize import write_figure
from deeplab_lfov.voc import VOID

_ENDS = np.outer([1e-6, 1e-5, 1e-4], [1, 2, 5]).ravel()  # where the best is if classes are rare
THRESHOLDS = np.unique(np.round([*np.arange(1001) / 1000, *_ENDS, *(1 - _ENDS)], 6))


class ThresholdCurve:
    """The numbers of a class against the rest by its threshold; `str()` of it is a table of some.

    A pixel is taken for the class where that is at least so probable. A histogram is all it keeps.
    Raises UserError for an unknown class, and where folder has no place for threshold_<class>.png.
    """

    def __init__(self, name: str, classes: Classes, folder: str | Path):
        self.label, self.name = classes.label_of(name), name
        self.path = Path(folder, "threshold_" + re.sub(r"[^-\w]", "_", name) + ".png")
        check_replaceable(self.path)
        self._counts = np.zeros((2, THRESHOLDS.size), np.int64)  # of others, and of the class

    def add(self, truth: np.ndarray, probabilities: np.ndarray) -> None:
        """Add labels uint8 [H, W], of which void is left out, and probabilities [H, W, C]."""
        counted, size = truth != VOID, THRESHOLDS.size
        asked = probabilities[counted, self.label]
        reached = np.searchsorted(np.float32(THRESHOLDS), asked, "right") - 1
        places = reached + size * (truth[counted] == self.label)
        self._counts += np.bincount(places, minlength=2 * size).reshape(2, size)

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the numbers at all THRESHOLDS as fractions, by name; nan for 0/0."""
        wrong, right = self._counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        taken, there = right + wrong, right[0]
        return {
            "precision": ratio(right, taken),
            "recall": ratio(right, there),
            "F1": ratio(2 * right, taken + there),
            "IoU": ratio(right, taken + there - right),
        }

    @property
    def best(self) -> float:
        """The threshold of the highest F1, the middle one where several have it."""
        f1 = np.nan_to_num(self.numbers()["F1"])
        highest = THRESHOLDS[f1 == f1.max()]
        return float(highest[np.abs(highest - (highest[0] + highest[-1]) / 2).argmin()])

    def as_dict(self) -> dict:
        """Return the class, its best threshold, and the numbers at all; None for 0/0."""
        numbers = {name: [*map(none_if_nan, each)] for name, each in self.numbers().items()}
        return {"class": self.name, "best": self.best, "threshold": [*THRESHOLDS]} | numbers

    def __str__(self) -> str:
        numbers, best = self.numbers(), self.best
        rows = [f"{'threshold':<9}" + "".join(f"{name:>10}" for name in numbers)]
        for n, *row in zip(range(THRESHOLDS.size), *numbers.values(), strict=True):
            if (is_best := THRESHOLDS[n] == best) or round(THRESHOLDS[n] * 20, 6) % 1 == 0:
                row = "".join(f"{each:10.2%}" for each in row).replace("nan%", "   -")
                rows.append(f"{THRESHOLDS[n]:<9g}{row}{'  best F1' if is_best else ''}")
        flag = shlex.quote(f"{self.name}={best:g}")
        return "\n".join([*rows, printable(f"inference.py and evaluate.py: --threshold {flag}")])

    def draw(self) -> Path:
        """Draw the numbers into a PNG and return its path; raises UserError where that fails."""
        figure = Figure(figsize=(8, 5), dpi=100)
        axis = figure.subplots()
        for name, numbers in self.numbers().items():
            axis.plot(THRESHOLDS, numbers, label=name)
        axis.axvline(self.best, color="grey", label=f"best F1, at {self.best:g}")
        axis.set(xlabel="threshold", ylim=(0, 1.02))
        axis.set_title(printable(self.name), parse_math=False)
        axis.legend()
        write_figure(self.path, figure)
        return self.path
