"""Runs that are killed, stopped, starved of disk or memory, and resumed."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from deeplab_lfov.training import trainer
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in
from helpers import ROOT, TRAIN, VAL
from util import make_shapes

STEPS = 40
RUN = ["--width", "0.0625", "--input_size", "33,33", "--batch_size", "2", "--random_mirror"]
RUN += ["--learning_rate", "1e-3", "--num_steps", str(STEPS), "--deterministic"]


@pytest.fixture
def command(shapes, tmp_path):
    """train.py as a user starts it; the folder's name and more flags are up to the test."""

    def make(folder, *flags):
        data = ["--data_dir", shapes, "--data_list", TRAIN]
        start = [sys.executable, "train.py", "--snapshot_dir", tmp_path / folder]
        return [*map(str, [*start, *data, *RUN, *flags])]

    return make


def start(command, **more):
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, **more)


def finish(command, **more):
    with start(command, **more) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def test_a_run_killed_three_times_ends_with_the_same_bits(command, tmp_path):
    status, _, err = finish(command("whole", "--save_pred_every", 1000))
    assert status == 0, err
    flags, rng, kills = ["--save_pred_every", 2], random.Random(0), 0
    while kills < 3:
        with start(command("killed", *flags)) as process:
            for line in process.stdout:
                if line.startswith("step") and rng.random() < 0.5:
                    break
            try:
                process.wait(timeout=rng.uniform(0, 0.2))
            except subprocess.TimeoutExpired:
                process.kill()
            err = process.stderr.read()
        assert process.returncode == -signal.SIGKILL, err
        kills += 1
        flags = ["--save_pred_every", 2, "--resume"]
        for path in checkpoints_in(tmp_path / "killed"):
            read_tensors(path)
    status, _, err = finish(command("killed", *flags))
    assert status == 0, err
    one, two = (read_tensors(tmp_path / f"{run}/model.ckpt-{STEPS}") for run in ("whole", "killed"))
    assert set(one) == set(two)
    for name, tensor in one.items():
        if tensor.dtype != object and name != "settings":
            assert tensor.tobytes() == two[name].tobytes(), name


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_step_and_saves(command, tmp_path, number, status):
    flags = ["--save_pred_every", 1000, "--num_steps", 100_000, "--no-check_data"]
    with start(command("run", *flags)) as process:
        for line in process.stdout:
            if line.startswith("device"):
                break
        process.stderr.read(1)  # of the bar: the loop is under way
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == status, err
    assert "Traceback" not in err
    step = int(re.search(r"stopped by SIG\w+ after step (\d+)", out).group(1))
    assert read_tensors(tmp_path / "run")["global_step"] == step


@pytest.fixture(scope="module")
def short_run(shapes, tmp_path_factory):
    """The folder of a run of two steps, and the command that made it."""
    folder = tmp_path_factory.mktemp("short") / "run"
    data = ["--data_dir", shapes, "--data_list", TRAIN]
    sizes = ["--width", "0.0625", "--input_size", "33,33", "--batch_size", 2]
    return folder, [*data, *sizes, "--snapshot_dir", folder]


@pytest.fixture
def run(script, short_run):
    folder, flags = short_run
    if not folder.is_dir():
        result = script("train", *flags, "--num_steps", 2)
        assert result.status == 0, result.err
    return folder


def test_a_run_is_extended_and_its_rate_changed(script, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    resume = ["train", "--snapshot_dir", tmp_path / "run", "--resume"]
    result = script(*resume, "--num_steps", 4, "--learning_rate", 0.002)
    assert result.status == 0, result.err
    assert "changed  learning_rate 0.0001 -> 0.002, from step 3 on" in result.out
    assert "changed  num_steps 2 -> 4, from step 3 on" in result.out
    assert "steps    3 to 4 of" in result.out
    assert "an epoch is 3 steps" in result.out  # six pictures, two at a time
    result = script(*resume, "--epochs", 1.5)  # 4.5 steps
    assert result.status == 0 and "steps    5 to 5 of" in result.out
    assert "learning_rate" not in result.out  # it is the run's own now


def test_a_poly_run_that_is_extended_follows_the_curve_to_its_new_end(train, tmp_path):
    poly = ["--recipe", "poly", "--iter_size", 1, "--save_num_images", 1]
    assert train(*poly, "--num_steps", 1).status == 0
    result = train("--resume", "--num_steps", 10)
    assert "the rate follows the poly curve that ends there" in result.out
    header, row = (tmp_path / "run/history.csv").read_text().splitlines()
    rate = dict(zip(header.split(","), row.split(","), strict=True))["learning_rate"]
    assert float(rate) == pytest.approx(1e-3 * 0.1**0.9)  # of step 10, the tenth of ten


def test_a_resume_with_another_list_is_refused(script, run, shapes, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    resume = ["train", "--snapshot_dir", run, "--resume", "--data_dir", data]
    assert script(*resume).status == 0
    train_list = data / TRAIN
    train_list.write_text(train_list.read_text().replace("shapes_000001\n", ""))
    result = script(*resume)
    assert result.status == 2 and "the contents of data_list and palette" in result.err


def limited():
    size = int(0.3 * 2**20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_ends_in_one_error_line_and_keeps_the_checkpoints(command, tmp_path):
    """A limit on the size of files stands in for the disk: the wider network's do not fit."""
    folder = tmp_path / "run"
    flags = ["--num_steps", 2, "--save_pred_every", 1, "--val_list", VAL]
    assert finish(command("run", *flags))[0] == 0
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / "model.ckpt-2.index").unlink()  # so that there is a step to do
    status, _, err = finish(command("run", *flags, "--resume"), preexec_fn=limited)
    errors = [line for line in err.splitlines() if "error" in line.lower()]
    assert status == 2 and len(errors) == 1 and "Traceback" not in err, err
    assert errors[0].rpartition("\r")[2].startswith("error: cannot write")
    one = folder / "model.ckpt-1"
    read_tensors(one)
    for path in (Path(f"{one}.index"), folder / "model.ckpt-best.index"):
        assert path.read_bytes() == before[path]
    assert not list(folder.glob("*tempstate*")) and not list(folder.glob("incoming*"))


def test_a_finished_run_resumes_where_its_folder_was_moved_to(script, run, tmp_path, monkeypatch):
    moved = tmp_path / "snapshots"
    shutil.copytree(run, moved)
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    monkeypatch.chdir(tmp_path)
    result = script("train", "--resume")
    assert result.status == 0, result.err
    assert "from snapshots/model.ckpt-2" in result.out and "width 0.0625" in result.out
    assert "finished 2 steps are done; --resume --num_steps 4 goes on" in result.out
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_run_notes_lost_output_and_warns_of_masks_that_changed(train, tmp_path, monkeypatch):
    data = tmp_path / "data"
    make_shapes.write_data_set(data, num_train=2, num_val=1, seed=1)
    monkeypatch.setattr(trainer, "lasting_output", lambda: nullcontext(["output lost: why"]))
    flags, more = ["--width", 1 / 64], {"data_dir": data, "data_list": TRAIN}
    assert train("--num_steps", 10, "--val_list", VAL, *flags, **more).status == 0
    run = tmp_path / "run"
    assert "output lost: why" in (run / "history.csv").read_text("utf-8")
    assert json.loads(read_tensors(run)["settings"].item())["order_by"] == "philox"
    *_, mask = sorted((data / "SegmentationClass").iterdir())  # of the val list
    os.utime(mask, ns=(0, 0))
    result = train("--resume", "--num_steps", 11, *flags, **more)
    assert (
        f"warning: 1 masks were written anew since the run was last started: {mask}" in result.err
    )
    assert "output lost: why" in (run / "history.csv").read_text("utf-8")
