"""The folders that a run writes to: that they are free, and what a killed run has left."""

from pathlib import Path

from deeplab_lfov.data.image_files import is_output
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import check_no_glob, clear_partials, writable_folder
from deeplab_lfov.training.settings import TrainSettings


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
