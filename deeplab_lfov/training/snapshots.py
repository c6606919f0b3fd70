"""The checkpoints of a run: written atomically, kept up to a number, and resumed from."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from deeplab_lfov.distributed.replicas import copy_here
from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.formats import Tensors, read_tensors
from deeplab_lfov.weights.tf_checkpoint import PREFIX, checkpoints_in, step_of

BEST = f"{PREFIX}-best"
_SUFFIXES = (".data-00000-of-00001", ".index")


class Snapshots:
    """The writer of a run's checkpoints `model.ckpt-<steps done>`, which keeps the newest.

    variables are by name; class_names and the run's settings (a dict for JSON) are stored with
    them. A checkpoint appears under its name only when all of it is on disk: TensorFlow writes both
    files beside their places and renames them, the index last.
    """

    def __init__(
        self,
        folder: Path,
        variables: dict[str, tf.Variable],
        class_names: Sequence[str],
        max_to_keep: int = 5,
        settings: dict | None = None,
    ):
        self.folder, self._variables = Path(folder), variables
        texts = {"class_names": list(class_names), "settings": json.dumps(settings or {})}
        texts = {name: tf.Variable(text, trainable=False) for name, text in texts.items()}
        stored = {name: copy_here(variable) for name, variable in variables.items()} | texts
        self._saver = tf.compat.v1.train.Saver(stored, max_to_keep=max_to_keep)
        self._best_saver = tf.compat.v1.train.Saver(stored, max_to_keep=0)

    def save(self, step: int) -> Path:
        """Write `model.ckpt-<step>` and return its path; raises UserError when it cannot."""
        path = self.folder / f"{PREFIX}-{step}"
        with _whole_or_nothing(path):
            self._saver.save(None, str(self.folder / PREFIX), step)
        return path

    def save_best(self) -> Path:
        """Write `model.ckpt-best` in place of an earlier one; raises UserError when it cannot.

        The new one is whole under another name before the old one goes, and `restore` finishes a
        change that was cut short: at no moment is there a mixture of the two, or none.
        """
        path = self.folder / BEST
        with _whole_or_nothing(path):
            self._best_saver.save(None, str(_incoming(path)), write_state=False)
            _put_in_place(path)
        return path

    def restore(self, run: "Run", clear: bool = True) -> None:
        """Set the variables from a run found in the folder; raises UserError if they do not fit.

        With clear, removes what a killed save left behind.
        """
        for name, variable in self._variables.items():
            if name not in run.tensors or run.tensors[name].shape != tuple(variable.shape):
                raise UserError(f"{run.path} is of another run: {name} is missing or misshapen")
        for name, variable in self._variables.items():
            variable.assign(run.tensors[name])
        if clear:
            self._clear()
        earlier = [path for path in _numbered(self.folder) if step_of(path) <= step_of(run.path)]
        self._saver.recover_last_checkpoints([str(path) for path in earlier])

    def _clear(self) -> None:
        _put_in_place(self.folder / BEST)
        for pattern in (f"{PREFIX}-*.tempstate*", f"{_incoming(Path(PREFIX))}*"):
            for leftover in self.folder.glob(pattern):
                leftover.unlink()


class Run(NamedTuple):
    """A run as its newest whole checkpoint has it."""

    path: Path
    tensors: Tensors

    @property
    def settings(self) -> dict:
        """The settings that were given to Snapshots; raises UserError where there are none."""
        if "settings" not in self.tensors:
            raise UserError(f"{self.path} is no checkpoint of a run; start one --restore_from it")
        return json.loads(self.tensors["settings"].item())


def find_run(folder: str | Path) -> Run:
    """Find the newest whole checkpoint in a folder; raises UserError when there is none."""
    numbered, damage = _numbered(Path(folder)), ""
    for path in reversed(numbered):
        try:
            return Run(path, read_tensors(path))
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
        for partial in path.parent.glob(f"{path.name}.*.tempstate*"):
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
