"""What a run shows: history.png, its course at a look."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deeplab_lfov.errors import printable
from deeplab_lfov.inference.visualize import write_figure

_LOSS, _IOU, _RATE = "tab:blue", "tab:orange", "tab:green"
_NAMED = 40  # classes that have room for their names

Row = Mapping[str, float]


def save_curve(path: Path, rows: Sequence[Row], ious: Mapping[str, float], title: str) -> None:
    """Write a PNG of a run's rows: loss, rate and val mean IoU by step, and the classes' IoU.

    rows: of the history; ious: by class name, of the last validation. Raises UserError when it
    cannot be written.
    """
    figure = Figure(figsize=(11 if ious else 8, 6), dpi=100)
    grid = figure.add_gridspec(2, 2 if ious else 1, height_ratios=(3, 1))
    axis = figure.add_subplot(grid[0, 0])
    _draw_loss(axis, rows)
    _draw_val(axis, rows)
    _draw_rate(figure.add_subplot(grid[1, 0], sharex=axis), rows)
    if ious:
        _draw_classes(figure.add_subplot(grid[:, 1]), ious)
    figure.suptitle(title, parse_math=False, fontsize=10, wrap=True)
    write_figure(path, figure)


def series(rows: Sequence[Row], name: str) -> tuple[list[int], list[float]]:
    """Return the steps that have a value of that name, and the values."""
    having = [row for row in rows if name in row]
    return [row["step"] for row in having], [row[name] for row in having]


def smoothed(values: Sequence[float]) -> np.ndarray:
    """Average each value with those before it, which count less and less: float64 [n].

    The mean reaches over a fiftieth of all values, so that a curve of any length is as smooth.
    """
    share, sums, means = 1 / (1 + len(values) / 50), np.zeros(2), []
    for value in values:
        sums = (1 - share) * sums + share * np.array([value, 1])
        means.append(sums[0] / sums[1])
    return np.array(means)


def _draw_loss(axis: Axes, rows: Sequence[Row]) -> None:
    steps, losses = series(rows, "loss")
    axis.plot(steps, losses, color=_LOSS, alpha=0.25, linewidth=0.8)
    axis.plot(steps, smoothed(losses), color=_LOSS, linewidth=1.5)
    axis.set_ylabel("loss, and its running mean", color=_LOSS)
    axis.set_ylim(bottom=0)


def _draw_val(axis: Axes, rows: Sequence[Row]) -> None:
    steps, ious = series(rows, "val_mean_iou")
    if not steps:
        return
    right, best = axis.twinx(), int(np.argmax(ious))
    right.plot(steps, ious, color=_IOU, marker="o", markersize=3)
    right.axvline(steps[best], color=_IOU, linestyle=":", linewidth=1)
    right.plot(steps[best], ious[best], color=_IOU, marker="*", markersize=12)
    right.set_title(f"best: {ious[best]:.4f} at step {steps[best]}", fontsize=9, color=_IOU)
    right.set_ylabel("val mean IoU", color=_IOU)


def _draw_rate(axis: Axes, rows: Sequence[Row]) -> None:
    axis.plot(*series(rows, "learning_rate"), color=_RATE, linewidth=1.5)
    axis.set_ylabel("rate", color=_RATE)
    axis.set_xlabel("step")
    axis.set_ylim(bottom=0)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def _draw_classes(axis: Axes, ious: Mapping[str, float]) -> None:
    places = range(len(ious))
    axis.barh(places, list(ious.values()), color=_IOU)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_title("IoU by class, last validation", fontsize=9)
    axis.set_yticks(places if len(ious) <= _NAMED else [])
    if len(ious) <= _NAMED:
        size = 8 if len(ious) < 25 else 6
        for label in axis.set_yticklabels(map(printable, ious), fontsize=size):
            label.set_parse_math(False)  # a class may have a $ in its name
        for place, iou in zip(places, ious.values(), strict=True):
            axis.text(min(iou + 0.01, 0.88), place, f"{iou:.1%}", va="center", fontsize=7)
