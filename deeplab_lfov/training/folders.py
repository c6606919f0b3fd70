"""The folders that a run writes to: their lock, that they are free, what a killed run has left."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deeplab_lfov.data.image_files import is_output
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import check_no_glob, clear_partials, writable_folder
from deeplab_lfov.training.settings import TrainSettings


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold the lock on a folder, which is made if need be, while the block runs.

    The system takes the lock from a process that dies. Who only reads checkpoints needs none.
    Raises UserError, with host and number of the process that holds it, where one does.
    """
    folder = writable_folder(folder)
    lock, holder = FileLock(folder / ".lock", timeout=0), folder / ".lock.holder"
    try:
        lock.acquire()
    except Timeout as error:
        who = holder.read_text("utf-8")[:200] if holder.is_file() else "another process"
        raise UserError(
            f"{folder} is in use: {who} trains into it; wait for its end or stop it, or give "
            "another --snapshot_dir"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise UserError(f"cannot lock the folder {folder}: {error}; choose another") from error
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def clear_leftovers(snapshot_dir: Path, save_dir: Path, first_step: int) -> None:
    """Remove half-written files, and the figures of steps that a run goes through again."""
    for folder in (snapshot_dir, save_dir):
        clear_partials(folder)
    for figure in save_dir.glob("*-*.png"):
        kind, _, step = figure.stem.partition("-")
        is_ours = kind in ("step", "val") and step.isdecimal() and is_output(figure)
        if is_ours and int(step) > first_step:
            figure.unlink()


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
