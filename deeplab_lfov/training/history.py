"""What happened in a run: history.csv, TensorBoard's event files, and a curve at the end."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from deeplab_lfov.data.image_files import write_png
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file

COLUMNS = ("step", "loss", "learning_rate", "images_per_second", "labelled_share", "val_mean_iou")


class History:
    """The rows of history.csv in a run's folder, which TensorBoard can be pointed at as well.

    On resuming at step `first_step` the rows after it are dropped: the run goes through those steps
    again. Raises UserError when the folder cannot be written.
    """

    def __init__(self, folder: Path, first_step: int = 0):
        self._folder, self._csv = folder, folder / "history.csv"
        self.rows = [row for row in self._read() if row["step"] <= first_step]
        with self._events() as path:
            self._writer = tf.summary.create_file_writer(str(path))
        self.save()

    def add(self, step: int, **values: float) -> None:
        """Add values of a step, named as in COLUMNS; those of one step share a row."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(values)
        for name, value in values.items():
            self._summary(name, tf.constant(value, tf.float32), step, "scalars", data_class=1)

    def add_figure(self, path: Path, step: int) -> None:
        """Show a PNG in TensorBoard."""
        with Image.open(path) as picture:
            width, height = picture.size
        content = tf.constant([str(width).encode(), str(height).encode(), path.read_bytes()])
        self._summary("figure", content, step, "images", data_class=3)

    def save(self) -> None:
        """Write history.csv whole, and TensorBoard's events so far."""
        with whole_file(self._csv, durable=True) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        with self._events():
            self._writer.flush()

    def best(self) -> float:
        """Return the highest val mean IoU so far, -1 before the first."""
        return max(self._series("val_mean_iou")[1], default=-1.0)

    def has(self, step: int, name: str) -> bool:
        """Tell whether a value of that name was added for the step."""
        return any(row["step"] == step and name in row for row in self.rows)

    def save_curve(self) -> Path:
        """Write history.png: loss and val mean IoU over the steps."""
        figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
        axis = figure.subplots()
        axis.set(xlabel="step", ylabel="loss")
        axis.plot(*self._series("loss"), color="tab:blue", linewidth=1)
        axis.set_ylim(bottom=0)
        steps, ious = self._series("val_mean_iou")
        if steps:
            right = axis.twinx()
            right.plot(steps, ious, color="tab:orange", marker="o", markersize=3)
            right.set_ylabel("val mean IoU", color="tab:orange")
            right.set_ylim(0, 1)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        path = self._folder / "history.png"
        write_png(path, Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
        return path

    def _series(self, name: str) -> tuple[list[int], list[float]]:
        rows = [row for row in self.rows if name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]

    def _read(self) -> list[dict]:
        if not self._csv.is_file():
            return []
        try:
            rows = csv.DictReader(io.StringIO(self._csv.read_text(encoding="utf-8")))
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise ValueError(f"its columns are {rows.fieldnames}")
            return [
                {name: int(v) if name == "step" else float(v) for name, v in row.items() if v}
                for row in rows
            ]
        except (TypeError, ValueError) as error:
            raise UserError(f"{self._csv} is not this program's history; move it away") from error

    def _summary(
        self, name: str, value: tf.Tensor, step: int, plugin: str, data_class: int
    ) -> None:
        """Write what tf.summary.scalar and .image would, which need TensorBoard installed."""
        proto = tf.compat.v1.SummaryMetadata
        metadata = proto(plugin_data=proto.PluginData(plugin_name=plugin), data_class=data_class)
        with self._events(), self._writer.as_default(step=step):  # which may flush them
            tf.summary.write(name, value, metadata=metadata)

    @contextmanager
    def _events(self) -> Iterator[Path]:
        """Give the folder of TensorBoard's events; errors in writing them become UserError."""
        folder = self._folder / "events"
        try:
            yield folder
        except tf.errors.OpError as error:
            raise UserError(f"cannot write to {folder}: {error.message}") from error
