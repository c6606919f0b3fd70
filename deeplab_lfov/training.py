"""Trainer: the training loop, which saves, validates, and stops without losing anything."""

import math
import signal
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from deeplab_lfov import transforms
from deeplab_lfov.cli import StopRequest, progress
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.history import History
from deeplab_lfov.image_reader import ImageReader
from deeplab_lfov.metrics import ConfusionMatrix
from deeplab_lfov.predictor import Predictor
from deeplab_lfov.snapshots import Snapshots
from deeplab_lfov.solver import Solver
from deeplab_lfov.visualize import save_rows
from deeplab_lfov.voc import VOID

LOG_EVERY = 10  # steps between rows of the history

Batch = tuple[tf.Tensor, tf.Tensor]


def compute_deterministically() -> None:
    """Make every later computation of the process give the same bits in every run."""
    tf.config.experimental.enable_op_determinism()


class Trainer:
    """Trains `solver.model` on batches of `reader`, from the solver's step on.

    input_size is (height, width) in pixels; figures of save_num_images rows go to save_dir; with a
    val_reader the mean IoU on its pictures decides which checkpoint is kept as the best.
    """

    def __init__(
        self,
        solver: Solver,
        reader: ImageReader,
        snapshots: Snapshots,
        history: History,
        class_names: tuple[str, ...],
        batch_size: int,
        input_size: tuple[int, int],
        save_dir: Path,
        save_num_images: int = 2,
        val_reader: ImageReader | None = None,
    ):
        self.solver, self.reader, self.snapshots, self.history = solver, reader, snapshots, history
        self.class_names, self.batch_size, self.input_size = class_names, batch_size, input_size
        self.save_dir, self.save_num_images, self.val_reader = save_dir, save_num_images, val_reader
        self.predictor = Predictor(solver.model)
        self._saved_step = int(solver.global_step)
        self._losses = deque(maxlen=20)

    def train(self, num_steps: int, save_every: int, val_every: int) -> None:
        """Go on to step num_steps, saving and validating every so many steps and after the last.

        SIGTERM and SIGINT end it after the step under way with a checkpoint and status 143 or 130.
        Raises UserError for a file that cannot be read, a loss or gradient that is not finite, and
        when memory or disk space runs out; what was learnt until then is saved where possible.
        """
        first = int(self.solver.global_step)
        batches = self._batches(first, num_steps)
        with StopRequest() as stop, progress(batches, num_steps, "steps", first) as bar:
            try:
                if self._val_is_due(first, num_steps, val_every):  # where a kill prevented it
                    self._validate(first, bar, stop)
                for step, batch in enumerate(bar, first + 1):
                    self._step(step, batch, bar, step - first)
                    val_is_due = self._val_is_due(step, num_steps, val_every)
                    save_is_due = step % save_every == 0 or step == num_steps
                    if stop.signal or save_is_due or val_is_due:
                        self._save(step, batch, bar)
                    if val_is_due:
                        self._validate(step, bar, stop)
                    if stop.signal:
                        name = signal.Signals(stop.signal).name
                        bar.write(f"stopped by {name} after step {step}; --resume continues")
                        raise SystemExit(128 + stop.signal)
            except tf.errors.ResourceExhaustedError as error:
                raise UserError(_OUT_OF_MEMORY) from error

    def _val_is_due(self, step: int, num_steps: int, val_every: int) -> bool:
        due = self.val_reader and step and (step % val_every == 0 or step == num_steps)
        return bool(due) and not self.history.has(step, "val_mean_iou")

    def _batches(self, first_step: int, num_steps: int) -> Iterator[Batch]:
        """The reader's batches; when a file stops the run, what was learnt is saved first."""
        try:
            yield from self.reader.batches(self.batch_size, self.input_size, num_steps, first_step)
        except UserError:
            step = int(self.solver.global_step)
            if step > self._saved_step:
                self.snapshots.save(step)
                self.history.save()
            raise

    def _step(self, step: int, batch: Batch, bar: progress, steps_here: int) -> None:
        loss = float(self.solver.step(*batch))
        if not math.isfinite(loss):
            raise self._divergence(step)
        self._losses.append(loss)
        speed = steps_here * self.batch_size / bar.format_dict["elapsed"]
        labelled = float(tf.reduce_mean(tf.cast(batch[1] != VOID, tf.float32)))
        mean = sum(self._losses) / len(self._losses)
        bar.set_postfix_str(
            f"loss {mean:.3f}, {speed:.1f} images/s, {labelled:.0%} labelled", refresh=False
        )
        if step % LOG_EVERY == 0:
            rate = float(self.solver.learning_rate_at(step - 1))
            self.history.add(
                step,
                loss=loss,
                learning_rate=rate,
                images_per_second=speed,
                labelled_share=labelled,
            )

    def _save(self, step: int, batch: Batch, bar: progress) -> None:
        images, labels = (part[: self.save_num_images] for part in batch)
        if not tf.reduce_all(tf.math.is_finite(self.solver.model.scores(images))):
            raise self._divergence(step)  # the update itself has ruined the weights
        path, figure = self.snapshots.save(step), self.save_dir / f"step-{step}.png"
        self._saved_step = step
        save_rows(
            figure,
            transforms.picture(images).numpy(),
            labels.numpy()[..., 0],
            self.solver.model.preds(images).numpy()[..., 0],
            self.class_names,
        )
        self.history.add_figure(figure, step)
        self.history.save()
        bar.write(f"step {step}: loss {self._losses[-1]:.3f}; saved {path} and {figure}")

    def _validate(self, step: int, bar: progress, stop: StopRequest) -> None:
        matrix, best = ConfusionMatrix(self.class_names), self.history.best()
        for _, image, labels in self.val_reader.pictures():
            matrix.update(labels, self.predictor(image))
            if stop.signal:
                return
        self.history.add(step, val_mean_iou=matrix.mean_iou)
        saved = f"; saved {self.snapshots.save_best()}" if matrix.mean_iou > best else ""
        self.history.save()
        bar.write(f"step {step}: val mean IoU {matrix.mean_iou:.4f}{saved}")

    def _divergence(self, step: int) -> UserError:
        files = few(self.reader.files_of_step(step - 1, self.batch_size), 16)
        last = "what training began from"
        if self._saved_step:
            last = f"model.ckpt-{self._saved_step} in {self.snapshots.folder}"
        return UserError(
            f"the loss, a gradient or a score of step {step} is not finite; its batch was {files}; "
            f"the last good checkpoint is {last}; train from it with a lower --learning_rate"
        )


_OUT_OF_MEMORY = (
    "out of memory; halve --batch_size and double --iter_size (the update stays the same), or "
    "lower --input_size or --width, or use --precision bfloat16"
)
