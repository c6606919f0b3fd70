"""What happened in a run: history.csv, and TensorBoard's event files."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from PIL import Image

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file

_VERSION_1_0 = (
    *("step", "loss", "learning_rate", "images_per_second", "labelled_share", "val_mean_iou"),
)
COLUMNS = (*_VERSION_1_0, "time", "epoch")
"""Columns of every run; after them come `IoU <class>` of runs that validate, and `note` if any."""

_IOU = "IoU "


class History:
    """The rows of history.csv in a run's folder, which TensorBoard can be pointed at as well.

    class_names: of a run that validates. On resuming at step `first_step` the rows after it are
    dropped: the run goes through those steps again. Raises UserError when the folder cannot be
    written.
    """

    def __init__(self, folder: Path, first_step: int = 0, class_names: Sequence[str] = ()):
        self._folder, self._csv = folder, folder / "history.csv"
        self._columns = (*COLUMNS, *(f"{_IOU}{name}" for name in class_names))
        self.rows = [row for row in self._read() if row["step"] <= first_step]
        with self._events() as path:
            self._writer = tf.summary.create_file_writer(str(path))
        self.save()

    def add(
        self, step: int, ious: Mapping[str, float] | None = None, **values: float | str
    ) -> None:
        """Add values of a step, named as in COLUMNS, and the classes' IoU by name.

        Those of one step share a row; TensorBoard gets the numbers.
        """
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        ious = ious or {}
        self.rows[-1] |= values | {f"{_IOU}{name}": iou for name, iou in ious.items()}
        for name, value in (values | {f"IoU/{name}": iou for name, iou in ious.items()}).items():
            if not isinstance(value, str):
                self._summary(name, tf.constant(value, tf.float32), step, "scalars", data_class=1)

    def add_figure(self, path: Path, step: int, name: str = "figure") -> None:
        """Show a PNG in TensorBoard."""
        with Image.open(path) as picture:
            width, height = picture.size
        content = tf.constant([str(width).encode(), str(height).encode(), path.read_bytes()])
        self._summary(name, content, step, "images", data_class=3)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Show a text, which TensorBoard takes for Markdown."""
        self._summary(name, tf.constant([text]), step, "text", data_class=2)

    def save(self) -> None:
        """Write history.csv whole, and TensorBoard's events so far."""
        with (
            whole_file(self._csv, durable=True) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            notes = ["note"] if any("note" in row for row in self.rows) else []
            writer = csv.DictWriter(file, [*self._columns, *notes])
            writer.writeheader()
            writer.writerows(self.rows)
        with self._events():
            self._writer.flush()

    def best(self) -> float:
        """Return the highest val mean IoU so far, -1 before the first."""
        return max((row.get("val_mean_iou", -1.0) for row in self.rows), default=-1.0)

    def validations_since_best(self) -> int:
        """Count the validations after the first that had the highest val mean IoU."""
        ious = [row["val_mean_iou"] for row in self.rows if "val_mean_iou" in row]
        return len(ious) - 1 - ious.index(max(ious)) if ious else 0

    def has(self, step: int, name: str) -> bool:
        """Tell whether a value of that name was added for the step."""
        return any(row["step"] == step and name in row for row in self.rows)

    def last_ious(self) -> dict[str, float]:
        """Return the IoU of each class that occurred in the last validation, by name."""
        validated = [row for row in self.rows if "val_mean_iou" in row]
        last = validated[-1] if validated else {}
        return {name.removeprefix(_IOU): v for name, v in last.items() if name.startswith(_IOU)}

    def _read(self) -> list[dict]:
        if not self._csv.is_file():
            return []
        try:
            rows = csv.DictReader(io.StringIO(self._csv.read_text(encoding="utf-8")))
            names = tuple(name for name in rows.fieldnames or () if name != "note")
            if names not in (self._columns, _VERSION_1_0):
                raise ValueError(f"its columns are {rows.fieldnames}")
            kinds = {"step": int, "time": str, "note": str}
            return [
                {name: kinds.get(name, float)(v) for name, v in row.items() if v} for row in rows
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
