"""Comparison: two evaluations of one list, class by class and picture by picture."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.console import class_table
from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.evaluation.metrics import PerPicture, none_if_nan, percent

RESAMPLES = 2000
"""How often the bootstrap draws as many pictures as there are, with replacement."""

_SEED = 0
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
_SHOWN = 5  # pictures that changed most, each way


class Evaluated(NamedTuple):
    """An evaluation: where it comes from, the classes, and the pictures' names and counts.

    counts: int64 [N, 3, C], each picture's pixels of each class that are hits, in the truth, and in
    the prediction.
    """

    where: str
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    counts: np.ndarray


def evaluated(where: str, names: list[str], pictures: PerPicture) -> Evaluated:
    """Count the hits, the truth and the prediction of each picture."""
    each = [pictures.matrix(number).counts for number in range(len(names))]
    counts = [(cells.diagonal(), cells.sum(axis=1), cells.sum(axis=0)) for cells in each]
    shape = len(names), 3, len(pictures.class_names)
    return Evaluated(where, pictures.class_names, tuple(names), np.reshape(counts, shape))


def read_evaluated(path: str | Path) -> Evaluated:
    """Read what `evaluate.py --json` wrote; raises UserError for any other file."""
    try:
        check_regular(Path(path))
        content = json.loads(Path(path).read_bytes())
        pictures = PerPicture(content["iou"])
        cells = [np.array(p["confusion"], np.int64).reshape(-1, 3) for p in content["pictures"]]
        if any((c < 0).any() or (c[:, :2] >= len(pictures.class_names)).any() for c in cells):
            raise ValueError("a label is no class")
        pictures.cells = cells
        return evaluated(str(path), [str(p["name"]) for p in content["pictures"]], pictures)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", path) from error
    except _DAMAGE as error:
        raise UserError(
            f"{path} has no pictures to compare with ({error}); evaluate.py --json writes them",
            path,
        ) from error


class Comparison:
    """Ours against theirs; `str()` of it is the table. Differences are ours minus theirs.

    Raises UserError unless both have the same classes and the same pictures, in the same order.
    """

    def __init__(self, ours: Evaluated, theirs: Evaluated):
        check_comparable(ours.class_names, ours.names, theirs)
        self.ours, self.theirs = ours, theirs
        self.ious = [iou(each.counts.sum(axis=0)) for each in (ours, theirs)]
        self.difference = float(np.subtract(*map(_mean, self.ious)))
        self.interval = self._interval()
        self.of_pictures = np.subtract(*(_mean(iou(each.counts)) for each in (ours, theirs)))

    def as_dict(self) -> dict:
        """Return the numbers as fractions; None where a class or picture has none."""
        return {
            "with": self.theirs.where,
            "mean_iou": none_if_nan(_mean(self.ious[1])),
            "difference": none_if_nan(self.difference),
            "interval": list(map(none_if_nan, self.interval)),
        }

    def __str__(self) -> str:
        now, before = ([*each, _mean(each)] for each in self.ious)
        columns = (
            ["IoU", *map(percent, now)],
            ["before", *map(percent, before)],
            ["change", *map(_points, np.subtract(now, before))],
        )
        rows = class_table(["class", *self.ours.class_names, "mean IoU"], *columns, width=9)
        rows = [f"compared with {printable(self.theirs.where)}", *map(str.rstrip, rows)]
        low, high = (f"{100 * bound:+.2f}" for bound in self.interval)
        rows.append(f"95 % of {RESAMPLES:,} resamplings of the pictures: {low} to {high}")
        return "\n".join([*rows, "", *self._pictures()])

    def _pictures(self) -> list[str]:
        change = np.nan_to_num(self.of_pictures)
        counts = [int((np.sign(change) == sign).sum()) for sign in (1, -1, 0)]
        lines = ["{} pictures better, {} worse, {} the same".format(*counts)]
        order = np.argsort(-change, kind="stable")
        most = [n for n in order[:_SHOWN] if change[n] > 0]
        most += [n for n in order[::-1][:_SHOWN] if change[n] < 0]
        return lines + [f"{_points(change[n]):>9}  {printable(self.ours.names[n])}" for n in most]

    def _interval(self) -> tuple[float, float]:
        """Bootstrap the mean IoU's difference over the pictures, the same for both."""
        draw, size = np.random.default_rng(_SEED), len(self.ours.names)
        both = np.stack([self.ours.counts, self.theirs.counts], axis=1, dtype=np.float64)
        differences = np.empty(RESAMPLES)
        for number in range(RESAMPLES):
            times = np.bincount(draw.integers(size, size=size), minlength=size)
            sums = (times @ both.reshape(size, -1)).reshape(both.shape[1:])
            differences[number] = np.subtract(*_mean(iou(sums)))
        known = differences[~np.isnan(differences)]
        return tuple(np.percentile(known, [2.5, 97.5]).tolist()) if known.size else (np.nan,) * 2


def iou(counts: np.ndarray) -> np.ndarray:
    """Compute the IoU of each class from counts [..., 3, C]: float64 [..., C], nan for 0/0."""
    hits, truths, predictions = np.moveaxis(counts, -2, 0)
    with np.errstate(invalid="ignore"):
        return hits / (truths + predictions - hits)


def _mean(ious: np.ndarray) -> np.ndarray:
    """Average over the classes that have an IoU; nan where none has."""
    counted = ~np.isnan(ious)
    with np.errstate(invalid="ignore"):
        return np.where(counted, ious, 0).sum(axis=-1) / counted.sum(axis=-1)


def check_comparable(class_names: Sequence[str], names: Sequence[str], theirs: Evaluated) -> None:
    """Raise UserError unless an evaluation has these classes and pictures, in this order."""
    pairs = {"class": (class_names, theirs.class_names), "picture": (names, theirs.names)}
    for what, (ours, others) in pairs.items():
        for number, (one, other) in enumerate(itertools.zip_longest(ours, others)):
            if one != other:
                one, other = (repr(name) if name else "missing" for name in (one, other))
                raise UserError(
                    f"{what} {number} is {other} in {theirs.where} and {one} here; compare "
                    "evaluations of one list and the same classes"
                )


def _points(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:+.2f}"
