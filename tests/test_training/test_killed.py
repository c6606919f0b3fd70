"""Runs that end between two writes go on to what the undisturbed run has; one process a folder."""

import csv
import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.image_files import write_png
from deeplab_lfov.errors import UserError
from deeplab_lfov.training import record, trainer
from deeplab_lfov.training.snapshots import Snapshots
from deeplab_lfov.weights.formats import read_tensors
from helpers import ROOT, VAL

FLAGS = ["--width", 1 / 64, "--num_steps", 4, "--save_pred_every", 2, "--learning_rate", 1e-3]
FLAGS += ["--val_list", VAL, "--val_every", 2]
LEFT = {"events", "history.csv", "history.png", "images", "checkpoint", ".lock"}
LEFT |= {f"model.ckpt-{n}.{e}" for n in (2, 4, "best") for e in ("index", "data-00000-of-00001")}


class Killed(BaseException):
    """What ends a run where nothing in it would."""


@pytest.fixture
def kill_before_rename(monkeypatch):
    """Let the n-th file of a run not take its place; 0 for none."""
    rename = Path.replace

    def arrange(number):
        renames = itertools.count(1)

        def replace(path, target):
            if next(renames) == number:
                raise Killed
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", replace)
        return renames

    return arrange


def assert_same_end(one, two):
    for folder in (one, two):
        assert {path.name for path in folder.iterdir()} == LEFT
        figures = {path.name for path in (folder / "images").iterdir()}
        figures -= {"step-2.png", "step-4.png", "val-2.png", "val-4.png"}
        assert not figures
    tables = [(run / "history.csv").read_text().splitlines() for run in (one, two)]
    rows = map(csv.DictReader, tables)
    for before, after in zip(*rows, strict=True):
        for column in ("images_per_second", "time"):
            assert before.pop(column) and after.pop(column)
        for column, value in before.items():
            assert float(value or -1) == pytest.approx(float(after[column] or -1), abs=1e-5)
    for name in (2, 4, "best"):
        before, after = (read_tensors(run / f"model.ckpt-{name}") for run in (one, two))
        for key in (key for key in before if before[key].dtype == np.float32):
            np.testing.assert_allclose(after[key], before[key], rtol=0, atol=1e-5)


@pytest.fixture
def small_figures(monkeypatch):
    """Draw a pixel where figures take a third of a second."""

    def small(path, *_):
        write_png(path, Image.new("RGB", (1, 1)))

    for name in ("save_rows", "save_curve"):
        monkeypatch.setattr(record, name, small)


def test_a_run_that_ends_before_any_rename_goes_on_to_the_same_end(
    train, tmp_path, monkeypatch, kill_before_rename, small_figures
):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    renames = kill_before_rename(0)
    assert train(*FLAGS).status == 0
    whole = (tmp_path / "run").rename(tmp_path / "whole")
    last = min(next(renames), 16)  # the first save and its best, and what follows
    for number in range(1, last, 3):
        kill_before_rename(number)
        with pytest.raises(Killed):
            train(*FLAGS)
        kill_before_rename(0)
        again = ["--resume"] if (tmp_path / "run/model.ckpt-2.index").exists() else []
        result = train(*FLAGS, *again)
        assert result.status == 0, (number, result.err)
        assert_same_end(whole, (tmp_path / "run").rename(tmp_path / f"killed before {number}"))


def test_leftovers_of_a_killed_process_go(train, tmp_path):
    (tmp_path / "run/images").mkdir(parents=True)
    names = [".history.2147483647.partial.csv", "images/.step-2.2147483647.partial.png"]
    names += ["incoming-model.ckpt-2.index"]
    for name in names:
        (tmp_path / "run" / name).touch()
    assert train("--num_steps", 1).status == 0
    assert not [name for name in names if (tmp_path / "run" / name).exists()]


HOLD = """
import pathlib, sys
from deeplab_lfov.files import locked
with locked(pathlib.Path(sys.argv[1], ".lock"), "", ""):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock on the folder `run`."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, tmp_path / "run"]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_trains_into_is_refused_until_that_dies(
    train, holder, tmp_path
):
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    for more in ([], ["--resume"]):
        result = train("--num_steps", 1, *more)
        assert result.status == 2 and result.err.count("\n") == 1
        assert f"process {holder.pid} on {socket.gethostname()} trains into it" in result.err
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    holder.kill()
    holder.wait()
    assert train("--num_steps", 1).status == 0


def test_who_only_reads_a_run_does_not_wait_for_its_lock(
    script, shapes, checkpoint, holder, tmp_path
):
    for part in checkpoint.parent.glob(f"{checkpoint.name}.*"):
        shutil.copy(part, tmp_path / "run")
    picture = next((shapes / "JPEGImages").iterdir())
    result = script("inference", picture, tmp_path / "run", "--save_dir", tmp_path / "masks")
    assert result.status == 0, result.err


def test_a_folder_that_cannot_be_locked_is_a_user_error(train, tmp_path):
    (tmp_path / "run/.lock").mkdir(parents=True)
    result = train("--num_steps", 1)
    assert result.status == 2 and "cannot lock the folder" in result.err


def test_two_ends_before_the_first_checkpoint_leave_the_folder_free(train, tmp_path, monkeypatch):
    def full(*_):
        raise UserError("the disk is full")

    for step in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(Snapshots, "save", full)
            result = train("--num_steps", 4, "--save_pred_every", step)
            assert result.status == 2 and "the disk is full" in result.err
        assert [path.name for path in (tmp_path / "run/images").iterdir()] == [f"step-{step}.png"]
    result = train("--num_steps", 4, "--save_pred_every", 4)
    assert result.status == 0, result.err
    assert [path.name for path in (tmp_path / "run/images").iterdir()] == ["step-4.png"]


def test_a_temporary_folder_without_room_is_named(train, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file/tmp"))
    (tmp_path / "file").touch()
    result = train("--num_steps", 1)
    assert result.status == 2 and "file/tmp: " in result.err and "TMPDIR" in result.err
