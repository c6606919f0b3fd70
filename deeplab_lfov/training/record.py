"""What a run leaves on disk: checkpoints, figures, history, and the best checkpoint on a val list.

Of several workers the chief keeps the Record; the others have a NoRecord, which does nothing.
"""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import is_output
from deeplab_lfov.data.image_reader import Batch, ImageReader
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.files import check_no_glob, clear_partials, writable_folder
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.visualize import save_rows
from deeplab_lfov.network.grid import likeliest_labels, upsample_scores
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.preprocess import picture
from deeplab_lfov.solver.solver import Solver
from deeplab_lfov.training.history import History
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.snapshots import Snapshots


class Record:
    """Writes down a run whose state `snapshots` saves, with figures of batches in save_dir.

    With a val_reader the mean IoU on its pictures decides which checkpoint is kept as the best.
    Raises UserError where something cannot be written, as its methods do.
    """

    def __init__(
        self,
        model: DeepLabLFOVModel,
        snapshots: Snapshots,
        history: History,
        *,
        classes: Classes,
        save_dir: Path,
        save_num_images: int = 2,
        val_reader: ImageReader | None = None,
    ):
        self.model, self.snapshots, self.history = model, snapshots, history
        self.classes, self.val_reader = classes, val_reader
        self.save_dir, self.save_num_images = save_dir, save_num_images
        self._predictor = Predictor(model)

    @property
    def folder(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.snapshots.folder

    def note(self, step: int, **values: float) -> None:
        """Note values of a step, named as the columns of the history."""
        self.history.add(step, **values)

    def save(self, step: int, batch: Batch) -> str | None:
        """Write the checkpoint of a step and the figure of its batch; say where they are.

        Returns None, and writes nothing, where scores are not finite: the update itself has ruined
        the weights.
        """
        images, labels = (part[: self.save_num_images] for part in (batch.images, batch.labels))
        scores = self.model.scores(images)
        if not tf.reduce_all(tf.math.is_finite(scores)):
            return None
        figure = self.save_dir / f"step-{step}.png"
        save_rows(
            figure,
            picture(images).numpy(),
            labels.numpy()[..., 0],
            likeliest_labels(upsample_scores(scores, *images.shape[1:3])).numpy(),
            self.classes,
        )
        self.history.add_figure(figure, step)
        return f"saved {self.save_checkpoint(step)} and {figure}"

    def save_checkpoint(self, step: int) -> Path:
        """Write just the history and the checkpoint of a step, and return the checkpoint's path.

        The checkpoint comes last: what it does not hold is done again, figure and rows included.
        """
        self.history.save()
        return self.snapshots.save(step)

    def lacks_validation(self, step: int) -> bool:
        """Tell whether a step could be validated and has not been."""
        return bool(self.val_reader) and not self.history.has(step, "val_mean_iou")

    def validate(self, step: int, is_stopped: Callable[[], bool]) -> str | None:
        """Measure the mean IoU on the val list, keep the best checkpoint, and say what came out.

        Returns None when it was stopped before the end.
        """
        matrix, best = ConfusionMatrix(self.classes.names), self.history.best()
        for _, image, labels in self.val_reader.pictures():
            matrix.update(labels, self._predictor(image))
            if is_stopped():
                return None
        self.history.add(step, val_mean_iou=matrix.mean_iou)
        saved = f"; saved {self.snapshots.save_best()}" if matrix.mean_iou > best else ""
        self.history.save()
        return f"val mean IoU {matrix.mean_iou:.4f}{saved}"

    def finish(self) -> str:
        """Draw the course of the run, and say where it is."""
        return f"the course of the run: {self.folder / 'history.csv'}, {self.history.save_curve()}"


class NoRecord:
    """What workers that are not the chief have in place of a Record of a run in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, step: int, batch: Batch) -> str:
        """Write nothing: the chief looks at the scores and saves for all."""
        return ""

    def save_checkpoint(self, step: int) -> None:
        """Write nothing."""

    def lacks_validation(self, step: int) -> bool:
        """Leave validation to the chief."""
        return False


def make_record(
    settings: TrainSettings,
    solver: Solver,
    snapshots: Snapshots,
    classes: Classes,
    save_dir: Path,
    val_reader: ImageReader | None,
) -> Record:
    """Make the record of a run at the step of its solver, and clear what a killed process left.

    Raises UserError as History does.
    """
    snapshots.clear()
    for folder in (snapshots.folder, save_dir):
        clear_partials(folder)
    first_step = int(solver.global_step.numpy())
    for figure in save_dir.glob("step-*.png"):  # the run goes through the later steps again
        step = figure.stem.removeprefix("step-")
        if step.isdecimal() and int(step) > first_step and is_output(figure):
            figure.unlink()
    return Record(
        solver.model,
        snapshots,
        History(snapshots.folder, first_step),
        classes=classes,
        save_dir=save_dir,
        save_num_images=settings.save_num_images,
        val_reader=val_reader,
    )


def output_folders(settings: TrainSettings, is_chief: bool) -> tuple[Path, Path]:
    """Return the folders of checkpoints and of figures; the chief makes them.

    Raises UserError where the chief cannot write to them, and where a new run would mix with one
    that is there already. What ended before its first checkpoint has left at most a history and a
    figure, and is no run: a new one takes its place.
    """
    folder = writable_folder if is_chief else Path
    snapshot_dir = folder(settings.snapshot_dir)
    check_no_glob(snapshot_dir)
    marks = ("model.ckpt-[0-9]*.index", "model.ckpt-best.index", "history.png")
    if not settings.resume and any(any(snapshot_dir.glob(mark)) for mark in marks):
        raise UserError(
            f"{snapshot_dir} already holds a run; --resume continues it, another --snapshot_dir "
            "starts a new one"
        )
    save_dir = folder(settings.save_dir or snapshot_dir / "images")
    left_behind = 1 if (snapshot_dir / "history.csv").exists() else 0
    if not settings.resume and len(list(save_dir.glob("step-*.png"))) > left_behind:
        raise UserError(f"{save_dir} already holds a run's figures; give another --save_dir")
    return snapshot_dir, save_dir
