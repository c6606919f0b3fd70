"""Trainer: the training loop, which saves, validates, and stops without losing anything."""

import math
import signal
import sys
from collections import deque
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from deeplab_lfov.console import lasting_output, progress
from deeplab_lfov.data.image_reader import Batch, ImageReader
from deeplab_lfov.distributed.devices import explaining_lack_of_memory
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError, WorkerGoneError, few
from deeplab_lfov.network.arithmetic import short_precision
from deeplab_lfov.solver.health import LOOKS, Health
from deeplab_lfov.solver.solver import Solver
from deeplab_lfov.training.pace import Pace
from deeplab_lfov.training.record import Record
from deeplab_lfov.training.stop_request import StopRequest, first_signal

LOG_EVERY = 10  # steps between rows of the history

_BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps{postfix}"


class Trainer:
    """Trains `solver.model` on batches of `reader`, from the solver's step on.

    record: where the chief writes down the run, None for the other workers. batch_size counts the
    pictures of all `replicas`; input_size is (height, width) in pixels.
    """

    def __init__(
        self,
        *,
        solver: Solver,
        reader: ImageReader,
        record: Record | None,
        replicas: Replicas,
        batch_size: int,
        input_size: tuple[int, int],
    ):
        self.solver, self.reader, self.record = solver, reader, record
        self.replicas, self.batch_size, self.input_size = replicas, batch_size, input_size
        self._rows = replicas.rows(batch_size)
        self._train_step = replicas.train_step(solver, batch_size)
        self._saved_step = self._step_done
        self._losses, self._pace = deque(maxlen=20), Pace()
        self._health: Health | None = None

    def train(
        self, num_steps: int, save_every: int, val_every: int, patience: int | None = None
    ) -> None:
        """Go on to step num_steps, saving and validating every so many steps and after the last.

        With patience it ends after so many validations in a row without a new best. A signal (see
        `StopRequest`) to any worker ends it after a step, with a checkpoint and status 128 + it.
        Raises UserError for a file that cannot be read, a loss or gradient that is not finite, when
        memory or disk space runs out, and when a worker has gone; what was learnt until then is
        saved where possible.
        """
        first = self._step_done
        batches = self._batches(first, num_steps)
        with (
            explaining_lack_of_memory(self._to_save_memory),
            StopRequest() as stop,
            lasting_output() as self._lost,
            progress(None, num_steps, "steps", first, show=bool(self.record), form=_BAR) as bar,
        ):
            try:
                if first and _is_due(first, val_every, num_steps):  # where a kill prevented it
                    self._validate(first, bar, stop)
                for step, batch in enumerate(batches, first + 1):
                    has_validated = step - 1 == first or _is_due(step - 1, val_every, num_steps)
                    if patience and has_validated and self._in_vain(step - 1, patience, bar):
                        break
                    signaled = self._step(step, batch, bar, stop)
                    val_is_due = _is_due(step, val_every, num_steps)
                    if signaled or _is_due(step, save_every, num_steps) or val_is_due:
                        self._save(step, batch, bar)
                    if val_is_due:
                        self._validate(step, bar, stop)
                    if step - first in LOOKS or step == self._saved_step:
                        self._look_at_health(step, bar)
                    if self.replicas.num_workers == 1 and step == self._saved_step:
                        signaled = stop.signal  # which came meanwhile: there is nobody to ask
                    if signaled:
                        self._stop(signaled, step, bar)
                if signaled := first_signal(self.replicas.sum(stop.as_counts())):  # one stops all
                    self._stop(signaled, self._step_done, bar)
            except WorkerGoneError:
                self._save_what_was_learnt()
                raise

    @property
    def _step_done(self) -> int:
        return int(self.solver.global_step.numpy())

    def _batches(self, first_step: int, num_steps: int) -> Iterator[Batch]:
        """Yield the reader's batches; when a file stops the run, save what was learnt first."""
        try:
            sizes = self.batch_size, self.input_size
            device = self.replicas.only_gpu
            yield from self.reader.batches(*sizes, num_steps, first_step, self._rows, device)
        except UserError:
            self._save_what_was_learnt()
            raise

    def _step(self, step: int, batch: Batch, bar: tqdm, stop: StopRequest) -> int | None:
        """Train on a batch and note how it went; return a signal that came to any worker."""
        if self.record and not self._health:
            self._health = Health(self.solver.model, batch.images[0], self.solver.class_weights)
        loss = self._train_step(batch.images, batch.labels)
        if not math.isfinite(loss):
            raise self._divergence(step)
        pixels = math.prod(self.input_size)
        labelled = round(float(batch.labelled) * len(self._rows) * pixels)
        labelled, *signals = self.replicas.sum(np.array([labelled, *stop.as_counts()]))
        if self.record:
            self._health.add(loss, batch.labels)
            self._note(step, loss, labelled / (self.batch_size * pixels), bar)
        return first_signal(signals)

    def _note(self, step: int, loss: float, labelled: float, bar: tqdm) -> None:
        self._losses.append(loss)
        self._pace.step()
        epoch = step * self.batch_size / len(self.reader.samples)
        speed = self._pace.rate * self.batch_size
        words = f"epoch {epoch:.1f}, {self._mean_loss}, {labelled:.0%} labelled"
        if left := self._pace.left(bar.total - step):  # nobody knows after one step
            words += f", {speed:.1f} images/s, {left} left"
        bar.set_postfix_str(words, refresh=False)
        bar.update()  # not by going through it: then it knows the step only where it is drawn
        if step % LOG_EVERY == 0:
            rate = float(self.solver.rate_policy.rate_at(step - 1))
            values = {"loss": loss, "learning_rate": rate, "images_per_second": speed}
            note = {"note": self._lost.pop()} if self._lost else {}
            self.record.note(step, **values, labelled_share=labelled, **note)

    @property
    def _mean_loss(self) -> str:
        return f"mean loss {sum(self._losses) / len(self._losses):.3f}"

    def _save(self, step: int, batch: Batch, bar: tqdm) -> None:
        if self.record:
            with self._pace.paused():
                names = [path.name for path in self.reader.files_of_step(step - 1, self.batch_size)]
                saved = self.record.save(step, batch, names)
            if not saved:
                raise self._divergence(step)
            bar.write(f"step {step}: {self._mean_loss}; {saved}")
        self._saved_step = step

    def _validate(self, step: int, bar: tqdm, stop: StopRequest) -> None:
        if self.record:
            with self._pace.paused():
                result = self.record.validate(step, lambda: bool(stop.signal))
            if result:
                bar.write(f"step {step}: {result}")

    def _look_at_health(self, step: int, bar: tqdm) -> None:
        if self._health:
            with self._pace.paused():
                warning = self._health.warning(step)
            if warning:
                bar.write(f"warning: {warning}", file=sys.stderr)

    def _in_vain(self, step: int, patience: int, bar: tqdm) -> bool:
        """Tell whether the last validations, `patience` of them, had no new best."""
        stale = self.record.history.validations_since_best() if self.record else 0
        ends = bool(self.replicas.sum(np.array([stale]))[0] >= patience)
        if ends and self.record:
            bar.write(f"ended after step {step}: {patience} validations without a better one")
        return ends

    def _save_what_was_learnt(self) -> None:
        if self.record and self._step_done > self._saved_step:
            self.record.save_checkpoint(self._step_done)

    def _stop(self, number: int, step: int, bar: tqdm) -> None:
        self.replicas.sum(np.zeros(1, np.int64))  # leave together, when the chief has saved
        if self.record:
            name = signal.Signals(number).name
            bar.write(f"stopped by {name} after step {step}; --resume continues")
        raise SystemExit(128 + number)

    def _to_save_memory(self) -> str:
        advice = "halve --batch_size and double --iter_size (the update stays the same), or lower "
        advice, short = advice + "--input_size or --width", short_precision()
        is_short = short in (None, self.solver.model.precision)
        return advice if is_short else f"{advice}, or use --precision {short}"

    def _divergence(self, step: int) -> UserError:
        files = few(self.reader.files_of_step(step - 1, self.batch_size), 16)
        last = "what training began from"
        if self._saved_step:
            last = f"model.ckpt-{self._saved_step}"
            last += f" in {self.record.folder}" if self.record else ""
        return UserError(
            f"the loss, a gradient or a score of step {step} is not finite; its batch was {files}; "
            f"the last good checkpoint is {last}; train from it with a lower --learning_rate"
        )


def _is_due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last
