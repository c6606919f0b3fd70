"""What training begins with: random filters, weights of any known format, or a run to resume."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from deeplab_lfov.files import locked
from deeplab_lfov.training.snapshots import Run, find_run
from deeplab_lfov.weights.checkpoints import Fit, fit_of
from deeplab_lfov.weights.formats import Tensors, read_weights
from deeplab_lfov.weights.tf_checkpoint import locate


class Start(NamedTuple):
    """The tensors that training begins with, by name; none of them for random filters."""

    tensors: Tensors = {}  # noqa: RUF012 - nobody writes into it
    path: Path | None = None
    run: Run | None = None
    """The run to go on with, if the tensors are its checkpoint."""

    @property
    def fit(self) -> Fit | None:
        """The network that the tensors fit; raises UserError for those of another network."""
        return fit_of(self.tensors, self.path) if self.tensors else None

    @property
    def is_of_version_1_0(self) -> bool:
        """Tell whether it is a run's checkpoint that version 1.0 wrote."""
        return bool(self.run) and "class_colors" not in self.tensors

    def settings_of_run(self) -> dict:
        """Return the settings of the run to go on with, as it was begun with them.

        What version 1.0 called float32 was tensorfloat32 on the GPUs that have it; runs without
        `order_by` are older than that.
        """
        settings = {"order_by": "index_shuffle"} | self.run.settings
        if self.is_of_version_1_0 and settings.get("precision") == "float32":
            return settings | {"precision": "tensorfloat32"}
        return settings


@contextmanager
def begin(
    snapshot_dir: str | Path,
    resume: bool | None = False,
    restore_from: str | Path | None = None,
    is_chief: bool = True,
) -> Iterator[Start]:
    """Yield what `read_start` returns, while the chief locks the run's folder as `locked` does."""
    lock = Path(snapshot_dir, ".lock"), "trains into it", "--snapshot_dir"
    locks = is_chief and (not resume or Path(snapshot_dir).is_dir())
    with locked(*lock) if locks else nullcontext():
        yield read_start(snapshot_dir, resume, restore_from)


def read_start(
    snapshot_dir: str | Path, resume: bool | None = False, restore_from: str | Path | None = None
) -> Start:
    """Read the newest whole checkpoint of the run to resume, or the weights to start from, if any.

    Raises UserError where there is none, and for files that cannot be read.
    """
    if resume:
        run = find_run(snapshot_dir)
        return Start(run.tensors, run.path, run)
    if restore_from:
        return Start(read_weights(restore_from), locate(restore_from))
    return Start()
