"""Trainer: the training loop, which saves, validates, and stops without losing anything."""

import math
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov import transforms
from deeplab_lfov.cli import StopRequest, progress
from deeplab_lfov.distribution import Replicas
from deeplab_lfov.errors import UserError, WorkerGoneError, few
from deeplab_lfov.history import History
from deeplab_lfov.image_reader import ImageReader
from deeplab_lfov.metrics import ConfusionMatrix
from deeplab_lfov.objective import likeliest_labels
from deeplab_lfov.predictor import Predictor
from deeplab_lfov.snapshots import Snapshots
from deeplab_lfov.solver import Solver
from deeplab_lfov.visualize import save_rows
from deeplab_lfov.voc import VOID

LOG_EVERY = 10  # steps between rows of the history
STOPS = (signal.SIGINT, signal.SIGTERM)

Batch = tuple[tf.Tensor, tf.Tensor]


def compute_deterministically() -> None:
    """Make every later computation of the process give the same bits in every run."""
    tf.config.experimental.enable_op_determinism()


class Trainer:
    """Trains `solver.model` on batches of `reader`, from the solver's step on.

    batch_size counts the pictures of all `replicas`; input_size is (height, width) in pixels. The
    chief alone saves, and figures of save_num_images rows go to save_dir; with a val_reader the
    mean IoU on its pictures decides which checkpoint is kept as the best. Other workers have
    no history.
    """

    def __init__(
        self,
        solver: Solver,
        reader: ImageReader,
        snapshots: Snapshots,
        history: History | None,
        class_names: tuple[str, ...],
        batch_size: int,
        input_size: tuple[int, int],
        save_dir: Path,
        save_num_images: int = 2,
        val_reader: ImageReader | None = None,
        replicas: Replicas | None = None,
    ):
        self.solver, self.reader, self.snapshots, self.history = solver, reader, snapshots, history
        self.class_names, self.batch_size, self.input_size = class_names, batch_size, input_size
        self.save_dir, self.save_num_images, self.val_reader = save_dir, save_num_images, val_reader
        self.replicas = replicas or Replicas()
        self.predictor = Predictor(solver.model)
        self._rows = self.replicas.rows(batch_size)
        self._train_step = self.replicas.train_step(solver, batch_size)
        self._saved_step = self._step_done
        self._losses = deque(maxlen=20)

    def train(self, num_steps: int, save_every: int, val_every: int) -> None:
        """Go on to step num_steps, saving and validating every so many steps and after the last.

        SIGTERM and SIGINT, to any of the workers, end it after a step with a checkpoint and status
        143 or 130. Raises UserError for a file that cannot be read, a loss or gradient that is not
        finite, when memory or disk space runs out, and when a worker has gone; what was learnt
        until then is saved where possible.
        """
        first, chief = self._step_done, self.replicas.is_chief
        batches = self._batches(first, num_steps)
        with StopRequest() as stop, progress(batches, num_steps, "steps", first, show=chief) as bar:
            try:
                if self._val_is_due(first, num_steps, val_every):  # where a kill prevented it
                    self._validate(first, bar, stop)
                for step, batch in enumerate(bar, first + 1):
                    signaled = self._step(step, batch, bar, step - first, stop)
                    val_is_due = self._val_is_due(step, num_steps, val_every)
                    save_is_due = step % save_every == 0 or step == num_steps
                    if signaled or save_is_due or val_is_due:
                        self._save(step, batch, bar)
                    if val_is_due:
                        self._validate(step, bar, stop)
                    if signaled := signaled or self._signal_of_one(stop):
                        self._stop(signaled, step, bar)
                self._leave(stop, num_steps, bar)
            except tf.errors.ResourceExhaustedError as error:
                raise UserError(_OUT_OF_MEMORY) from error
            except WorkerGoneError:
                self._save_what_was_learnt()
                raise

    @property
    def _step_done(self) -> int:
        return int(self.solver.global_step.numpy())

    def _signal_of_one(self, stop: StopRequest) -> int | None:
        """The signal to a process that is alone, which need not ask the others."""
        return stop.signal if self.replicas.num_workers == 1 else None

    def _stop(self, number: int, step: int, bar: progress) -> None:
        self.replicas.sum(np.zeros(1))  # leave together, when the chief has saved
        if self.replicas.is_chief:
            name = signal.Signals(number).name
            bar.write(f"stopped by {name} after step {step}; --resume continues")
        raise SystemExit(128 + number)

    def _leave(self, stop: StopRequest, step: int, bar: progress) -> None:
        """Wait for the others, so that all end well or none; one signal stops all."""
        if signaled := _first_signal(self.replicas.sum(_signals(stop))):
            self._stop(signaled, step, bar)

    def _val_is_due(self, step: int, num_steps: int, val_every: int) -> bool:
        due = (
            self.val_reader
            and self.history
            and step
            and (step % val_every == 0 or step == num_steps)
        )
        return bool(due) and not self.history.has(step, "val_mean_iou")

    def _batches(self, first_step: int, num_steps: int) -> Iterator[Batch]:
        """The reader's batches; when a file stops the run, what was learnt is saved first."""
        try:
            yield from self.reader.batches(
                self.batch_size, self.input_size, num_steps, first_step, self._rows
            )
        except UserError:
            self._save_what_was_learnt()
            raise

    def _save_what_was_learnt(self) -> None:
        step = self._step_done
        if self.history and step > self._saved_step:
            self.snapshots.save(step)
            self.history.save()

    def _step(
        self, step: int, batch: Batch, bar: progress, steps_here: int, stop: StopRequest
    ) -> int | None:
        """Train on a batch and note how it went; returns a signal that came to any worker."""
        labelled = float(tf.reduce_mean(tf.cast(batch[1] != VOID, tf.float32))) * len(self._rows)
        notes = np.array([labelled, *_signals(stop)], np.float32)
        loss, (labelled, *signals) = self._train_step(*batch, notes)
        if not math.isfinite(loss):
            raise self._divergence(step)
        if self.history:
            self._note(step, loss, labelled / self.batch_size, bar, steps_here)
        if self.replicas.num_workers == 1:
            return stop.signal
        return _first_signal(signals)

    def _note(self, step: int, loss: float, labelled: float, bar: progress, steps: int) -> None:
        self._losses.append(loss)
        speed = steps * self.batch_size / bar.format_dict["elapsed"]
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
                labelled_share=float(labelled),
            )

    def _save(self, step: int, batch: Batch, bar: progress) -> None:
        if not self.history:  # the chief looks and saves for all
            self._saved_step = step
            return
        images, labels = (part[: self.save_num_images] for part in batch)
        scores = self.solver.model.scores(images)
        if not tf.reduce_all(tf.math.is_finite(scores)):
            raise self._divergence(step)  # the update itself has ruined the weights
        path, figure = self.snapshots.save(step), self.save_dir / f"step-{step}.png"
        self._saved_step = step
        save_rows(
            figure,
            transforms.picture(images).numpy(),
            labels.numpy()[..., 0],
            likeliest_labels(scores, *images.shape[1:3]).numpy()[..., 0],
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


def _signals(stop: StopRequest) -> np.ndarray:
    return np.array([stop.signal == each for each in STOPS], np.float32)


def _first_signal(counts: Iterable[float]) -> int | None:
    return next((each for each, count in zip(STOPS, counts, strict=True) if count), None)


_OUT_OF_MEMORY = (
    "out of memory; halve --batch_size and double --iter_size (the update stays the same), or "
    "lower --input_size or --width, or use --precision bfloat16"
)
