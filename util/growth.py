"""Time and memory against the size of pictures and of batches: measured, and drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDES = {"infer": (129, 257, 513, 1025, 2049), "train": (129, 257, 385, 513, 769)}
BATCHES = (1, 2, 4, 8)
BATCH_SIDE = 257


def measure(task: str, run: Callable[..., dict]) -> dict:
    """Measure squares of SIDES pixels, and BATCHES of pictures; `run` makes one measurement."""
    squares = [run(input_size=(side, side), batch_size=1) for side in SIDES[task]]
    batches = [run(input_size=(BATCH_SIDE,) * 2, batch_size=size) for size in BATCHES]
    return {"task": task, "sides": squares, "batches": batches} | _exponents(squares)


def save_plot(path: str | Path, task: str, result: dict) -> None:
    """Write a PNG: seconds and peak memory against megapixels, and against the batch.

    Raises UserError when the file cannot be written.
    """
    from matplotlib.figure import Figure

    from deeplab_lfov.inference.visualize import write_figure

    figure = Figure(figsize=(9, 4), dpi=100)
    for axis, key, label in zip(
        figure.subplots(1, 2), ("sides", "batches"), ("megapixels", "pictures"), strict=True
    ):
        amounts = [_amount(one, key) for one in result[key]]
        seconds = [one["seconds_per_image"] * one["batch_size"] for one in result[key]]
        axis.plot(amounts, seconds, "o-", color="tab:blue")
        axis.set(xlabel=label, ylabel=f"seconds to {task}")
        memory, gigabytes = axis.twinx(), [one["peak_rss_mb"] / 1000 for one in result[key]]
        memory.plot(amounts, gigabytes, "s:", color="grey")
        memory.set(ylabel="peak memory in GB (grey)")
        for each, values in ((axis, seconds), (memory, gigabytes)):
            each.set(xlim=(0, 1.05 * max(amounts)), ylim=(0, 1.05 * max(values)))
    write_figure(path, figure)


def _amount(one: dict, key: str) -> float:
    height, width = one["input_size"]
    return height * width / 1e6 if key == "sides" else one["batch_size"]


def _exponents(squares: list[dict]) -> dict[str, float]:
    """Return the powers of the pixels that time and memory grow with, between the last two sizes.

    Memory is counted beyond that of the smallest.
    """
    (*_, before, last), first = squares, squares[0]
    pixels = np.log(_amount(last, "sides") / _amount(before, "sides"))
    beyond = [one["peak_rss_mb"] - first["peak_rss_mb"] for one in (last, before)]
    seconds = last["seconds_per_image"] / before["seconds_per_image"]
    return {
        "power_of_seconds": float(np.log(seconds) / pixels),
        "power_of_memory": float(np.log(max(beyond[0], 1) / max(beyond[1], 1)) / pixels),
    }
