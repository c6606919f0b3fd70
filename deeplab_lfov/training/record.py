"""What a run leaves on disk: checkpoints, the best on a val list, figures and history."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.classes import Classes
from deeplab_lfov.console import progress
from deeplab_lfov.data.image_reader import Batch
from deeplab_lfov.evaluation.metrics import PerPicture
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.visualize import save_rows
from deeplab_lfov.network.grid import likeliest_labels, upsample_scores
from deeplab_lfov.preprocess import picture
from deeplab_lfov.solver.solver import Solver
from deeplab_lfov.training.assembly import Readers
from deeplab_lfov.training.figures import save_curve
from deeplab_lfov.training.folders import clear_leftovers
from deeplab_lfov.training.history import History
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.snapshots import Snapshots


class Record:
    """Writes down a run whose state `snapshots` saves, with figures of batches in save_dir.

    It goes on from the step of the solver, and what a killed process left is cleared. The mean IoU
    on the val list, if there is one, decides which checkpoint is kept as the best. Raises UserError
    where something cannot be written, as its methods do.
    """

    def __init__(
        self,
        settings: TrainSettings,
        solver: Solver,
        snapshots: Snapshots,
        classes: Classes,
        save_dir: Path,
        readers: Readers,
    ):
        self.model, self.snapshots, self.classes = solver.model, snapshots, classes
        self.folder, self.save_dir, self.val_reader = snapshots.folder, save_dir, readers.val
        self.save_num_images = settings.save_num_images
        first_step = int(solver.global_step.numpy())
        snapshots.clear()
        clear_leftovers(self.folder, save_dir, first_step)
        self.history = History(self.folder, first_step, classes.names if readers.val else ())
        given = {name: value for name, value in vars(settings).items() if value is not None}
        lines = [f"    --{name} {value}" for name, value in given.items()]
        self.history.add_text("settings", "\n".join(lines), first_step)
        self._steps_per_epoch = len(readers.train.samples) / settings.crops_per_step
        self._title = (
            f"{settings.data_list}; {self.model}; {settings.optimizer}, {solver.rate_policy}"
        )
        self._predictor = Predictor(self.model)

    def note(self, step: int, **values: float | str) -> None:
        """Note values of a step, named as the columns of the history."""
        time = datetime.now().isoformat(" ", "seconds")
        self.history.add(step, time=time, epoch=step / self._steps_per_epoch, **values)

    def save(self, step: int, batch: Batch, names: Sequence[str]) -> str | None:
        """Write the checkpoint of a step, the figure of its batch and the curve; say where.

        names: of the batch's pictures. Returns None, and writes nothing, where scores are not
        finite: the update itself has ruined the weights.
        """
        variety = [-len(np.unique(each)) for each in batch.labels.numpy()]
        shown = np.argsort(variety, kind="stable")[: self.save_num_images]  # rare classes are there
        images, labels = (tf.gather(part, shown) for part in (batch.images, batch.labels))
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
            [names[place] for place in shown],
        )
        self.history.add_figure(figure, step)
        saved = self.save_checkpoint(step)
        self.save_curve()  # after the checkpoint: without one there is no run to show
        return f"saved {saved} and {figure}"

    def save_checkpoint(self, step: int) -> Path:
        """Write just the history and the checkpoint of a step, and return the checkpoint's path.

        The checkpoint comes last: what it does not hold is done again, figure and rows included.
        """
        self.history.save()
        return self.snapshots.save(step)

    def validate(self, step: int, is_stopped: Callable[[], bool]) -> str | None:
        """Measure the mean IoU on the val list, keep the best checkpoint, and say what came out.

        Returns None when it was stopped before the end, and where there is nothing to do: no list,
        or a step that has been measured.
        """
        if not self.val_reader or self.history.has(step, "val_mean_iou"):
            return None
        pictures, best = PerPicture(self.classes.names), self.history.best()
        matrix, each = pictures.whole, self.val_reader.pictures()
        for sample, image, labels in progress(
            each, len(self.val_reader.samples), "validated", keep=False
        ):
            pictures.add(sample.name, labels, self._predictor(image))
            if is_stopped():
                return None
        self._save_val_figure(step, pictures)
        ious = zip(self.classes.names, matrix.iou.tolist(), strict=True)
        ious = {name: iou for name, iou in ious if not np.isnan(iou)}
        self.note(step, ious=ious, val_mean_iou=matrix.mean_iou)
        saved = f"; saved {self.snapshots.save_best()}" if matrix.mean_iou > best else ""
        self.history.save()
        self.save_curve()
        return f"val mean IoU {matrix.mean_iou:.4f}{saved}"

    def save_curve(self) -> str:
        """Draw the course of the run, and say where it is."""
        path = self.folder / "history.png"
        save_curve(path, self.history.rows, self.history.last_ious(), self._title)
        return f"the course of the run: {self.folder / 'history.csv'}, {path}"

    def _save_val_figure(self, step: int, pictures: PerPicture) -> None:
        """Show how those pictures of the val list are labelled that have most of a rare class."""
        pixels = np.array([matrix.counts.sum(axis=1) for matrix in pictures.matrices()])
        rarest = [label for label in np.argsort(pixels.sum(axis=0)) if pixels[:, label].any()]
        numbers = [*dict.fromkeys(int(pixels[:, label].argmax()) for label in rarest)]
        if not (numbers := numbers[: self.save_num_images]):
            return
        figure, ious = self.save_dir / f"val-{step}.png", pictures.mean_ious()
        images, labels = zip(*map(self.val_reader.read, numbers), strict=True)
        names = [f"{self.val_reader.samples[n].image.name}: {ious[n]:.1%}" for n in numbers]
        save_rows(figure, images, labels, [*map(self._predictor, images)], self.classes, names)
        self.history.add_figure(figure, step, "val figure")
