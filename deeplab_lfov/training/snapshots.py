"""The checkpoints of a run: written atomically, kept up to a number, and resumed from."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from deeplab_lfov.classes import Classes
from deeplab_lfov.console import print_warning
from deeplab_lfov.distributed.replicas import copy_here
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import flush_to_disk
from deeplab_lfov.weights.formats import Tensors, read_tensors
from deeplab_lfov.weights.tf_checkpoint import BEST, PREFIX, checkpoints_in, index_of, step_of

_SUFFIXES = (".data-00000-of-00001", ".index")


class Snapshots:
    """The writer of a run's checkpoints `model.ckpt-<steps done>`, which keeps the newest.

    variables are by name; the classes and the run's settings (a dict for JSON) are stored with
    them. A checkpoint appears under its name only when all of it is on the disk itself, and older
    ones go after that: neither a kill nor a power cut leaves less than there was before.
    """

    def __init__(
        self,
        folder: Path,
        variables: dict[str, tf.Variable],
        classes: Classes,
        max_to_keep: int = 5,
        settings: dict | None = None,
    ):
        self.folder, self._variables, self._max_to_keep = Path(folder), variables, max_to_keep
        facts = classes.stored() | {"settings": json.dumps(settings or {})}
        facts = {name: tf.Variable(value, trainable=False) for name, value in facts.items()}
        stored = {name: copy_here(variable) for name, variable in variables.items()} | facts
        self._saver = tf.compat.v1.train.Saver(stored, max_to_keep=0)

    def save(self, step: int) -> Path:
        """Write `model.ckpt-<step>` and return its path; raises UserError when it cannot."""
        path = self._save(f"{PREFIX}-{step}")
        with _whole_or_nothing(self.folder / "checkpoint"):
            so_far = [each for each in _numbered(self.folder) if step_of(each) <= step]
            kept = [each.name for each in so_far[-self._max_to_keep :]]
            folder = str(self.folder.resolve())
            tf.compat.v1.train.update_checkpoint_state(folder, path.name, kept)
            for older in so_far[: -self._max_to_keep]:
                for suffix in reversed(_SUFFIXES):  # half of one is not taken for one
                    Path(f"{older}{suffix}").unlink(missing_ok=True)
        return path

    def save_best(self) -> Path:
        """Write `model.ckpt-best` in place of an earlier one; raises UserError when it cannot.

        `clear` finishes a change that was cut short: there is never a mixture of the two, or none.
        """
        return self._save(BEST)

    def restore(self, run: "Run") -> None:
        """Set the variables from a run found in the folder; raises UserError if they do not fit."""
        for name, variable in self._variables.items():
            if name not in run.tensors or run.tensors[name].shape != tuple(variable.shape):
                raise UserError(f"{run.path} is of another run: {name} is missing or misshapen")
        for name, variable in self._variables.items():
            variable.assign(run.tensors[name])

    def clear(self) -> None:
        """Remove what a killed save left behind, and finish its change of the best.

        As long as the old best has its index, the change has not begun: the new one may not be on
        the disk yet, and is dropped.
        """
        if not index_of(self.folder / BEST).exists():
            _put_in_place(self.folder / BEST)
        leftovers = (f"{_incoming(Path(PREFIX))}*", f"{PREFIX}-*.tempstate*", "checkpoint.tmp*")
        for pattern in leftovers:
            for leftover in self.folder.glob(pattern):
                leftover.unlink()
        for data in self.folder.glob(f"{PREFIX}-[0-9]*{_SUFFIXES[0]}"):
            if not index_of(data.with_name(data.name.removesuffix(_SUFFIXES[0]))).exists():
                data.unlink()

    def _save(self, name: str) -> Path:
        path = self.folder / name
        with _whole_or_nothing(path):
            self._saver.save(None, str(_incoming(path)), write_state=False)
            for suffix in _SUFFIXES:
                flush_to_disk(f"{_incoming(path)}{suffix}")
            _put_in_place(path)
            flush_to_disk(self.folder)
        return path


class Run(NamedTuple):
    """A run as its newest whole checkpoint has it."""

    path: Path
    tensors: Tensors

    @property
    def settings(self) -> dict:
        """The settings that were given to Snapshots; raises UserError where there are none."""
        if "settings" not in self.tensors:
            raise UserError(f"{self.path} is no checkpoint of a run; start one --restore_from it")
        try:
            return dict(json.loads(self.tensors["settings"].item()))
        except (ValueError, TypeError, RecursionError) as error:
            words = f"the settings of the run in {self.path} are damaged: {error}"
            raise UserError(words) from error


def find_run(folder: str | Path) -> Run:
    """Find the newest whole checkpoint in a folder; raises UserError when there is none."""
    damage = ""
    for path in reversed(_numbered(Path(folder))):
        try:
            run = Run(path, read_tensors(path))
            if damage:
                print_warning(f"going on from {path}{damage}")
            return run
        except UserError as error:
            damage = f": {error}"
    raise UserError(f"{folder} holds no run to resume{damage}")


def _numbered(folder: Path) -> list[Path]:
    return [path for path in checkpoints_in(folder) if step_of(path) is not None]


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, OSError, ValueError) as error:  # ValueError: there is no folder
        for partial in path.parent.glob(f"{_incoming(path).name}*"):
            partial.unlink(missing_ok=True)
        reason = getattr(error, "message", None) or error
        raise UserError(
            f"cannot write {path}: {reason}; is the disk full? Earlier checkpoints are intact, and "
            "--resume continues from the newest"
        ) from error


def _incoming(path: Path) -> Path:
    return path.with_name(f"incoming-{path.name}")


def _put_in_place(path: Path) -> None:
    """Rename an incoming checkpoint if it is whole, or if only its index was left to rename."""
    data, index = (Path(f"{_incoming(path)}{suffix}") for suffix in _SUFFIXES)
    if index.is_file():
        Path(f"{path}.index").unlink(missing_ok=True)
        for part, suffix in zip((data, index), _SUFFIXES, strict=True):
            if part.is_file():
                part.replace(f"{path}{suffix}")
