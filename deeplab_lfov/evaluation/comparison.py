"""Comparison: two evaluations of one list, class by class and picture by picture."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.console import class_table
from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.evaluation.metrics import PerPicture, iou, none_if_nan, percent

RESAMPLES = 2000
"""How often the bootstrap draws as many pictures as there are, with replacement."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
_SHOWN = 5  # pictures that changed most, each way


def read_evaluated(path: str | Path) -> PerPicture:
    """Read what `evaluate.py --json` wrote; raises UserError for any other file."""
    try:
        check_regular(Path(path))
        content = json.loads(Path(path).read_bytes())
        pictures = PerPicture(content["iou"])
        for picture in content["pictures"]:
            cells = np.array(picture["confusion"], np.int64).reshape(-1, 3)
            if (cells < 0).any() or (cells[:, :2] >= len(pictures.class_names)).any():
                raise ValueError("a label is no class")
            pictures.names.append(str(picture["name"]))
            pictures.cells.append(cells)
        return pictures
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", path) from error
    except _DAMAGE as error:
        raise UserError(
            f"{path} has no pictures to compare with ({error}); evaluate.py --json writes them",
            path,
        ) from error


class Comparison:
    """Ours against theirs; `str()` of it is the table. Differences are ours minus theirs.

    Both have the same classes and pictures, see `check_comparable`; where: where theirs come from.
    """

    def __init__(self, ours: PerPicture, theirs: PerPicture, where: str):
        self.class_names, self.names, self.where = ours.class_names, ours.names, where
        sums = [[matrix.sums() for matrix in each.matrices()] for each in (ours, theirs)]
        self.sums = np.array(sums)  # [2, pictures, 3, C]
        self.ious = iou(self.sums.sum(axis=1))
        self.difference = float(np.subtract(*_mean(self.ious)))
        self.interval = self._interval()
        self.of_pictures = np.subtract(*_mean(iou(self.sums)))

    def as_dict(self) -> dict:
        """Return the numbers as fractions; None where a class or picture has none."""
        return {
            "with": self.where,
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
        rows = class_table(["class", *self.class_names, "mean IoU"], *columns, width=9)
        rows = [f"compared with {printable(self.where)}", *map(str.rstrip, rows)]
        low, high = (f"{100 * bound:+.2f}" for bound in self.interval)
        rows.append(f"95 % of {RESAMPLES:,} resamplings of the pictures: {low} to {high}")
        return "\n".join([*rows, "", *self._pictures()])

    def _pictures(self) -> list[str]:
        change = np.nan_to_num(self.of_pictures)
        better, worse, same = ((np.sign(change) == sign).sum() for sign in (1, -1, 0))
        order = np.argsort(-change, kind="stable")
        most = [n for n in order[:_SHOWN] if change[n] > 0]
        most += [n for n in order[::-1][:_SHOWN] if change[n] < 0]
        lines = [f"{better} pictures better, {worse} worse, {same} the same"]
        return lines + [f"{_points(change[n]):>9}  {printable(self.names[n])}" for n in most]

    def _interval(self) -> tuple[float, float]:
        """Bootstrap the mean IoU's difference over the pictures, the same for both."""
        draw, size = np.random.default_rng(0), len(self.names)
        both = np.moveaxis(self.sums, 0, 1).astype(np.float64)
        differences = np.empty(RESAMPLES)
        for number in range(RESAMPLES):
            times = np.bincount(draw.integers(size, size=size), minlength=size)
            sums = (times @ both.reshape(size, -1)).reshape(both.shape[1:])
            differences[number] = np.subtract(*_mean(iou(sums)))
        known = differences[~np.isnan(differences)]
        return tuple(np.percentile(known, [2.5, 97.5]).tolist()) if known.size else (np.nan,) * 2


def _mean(ious: np.ndarray) -> np.ndarray:
    """Average over the classes that have an IoU; nan where none has."""
    counted = ~np.isnan(ious)
    with np.errstate(invalid="ignore"):
        return np.where(counted, ious, 0).sum(axis=-1) / counted.sum(axis=-1)


def check_comparable(
    class_names: Sequence[str], names: Sequence[str], theirs: PerPicture, where: str
) -> None:
    """Raise UserError unless an evaluation has these classes and pictures, in this order."""
    pairs = {"classes": (class_names, theirs.class_names), "pictures": (names, theirs.names)}
    for what, (ours, others) in pairs.items():
        if tuple(ours) != tuple(others):
            raise UserError(f"{where} is of other {what}; compare what is of one list")


def _points(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:+.2f}"
