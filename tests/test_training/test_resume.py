"""Runs that are killed, stopped, starved of disk or memory, and resumed."""

import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in
from helpers import DATA, ROOT, TRAIN

STEPS = 40
RUN = ["--width", "0.0625", "--input_size", "33,33", "--batch_size", "2", "--random_mirror"]
RUN += ["--learning_rate", "1e-3", "--num_steps", str(STEPS), "--deterministic"]


@pytest.fixture
def command(shapes, tmp_path):
    """train.py as a user starts it; the folder's name and more flags are up to the test."""

    def make(folder, *flags):
        data = ["--data_dir", shapes, "--data_list", "ImageSets/Segmentation/train.txt"]
        start = [sys.executable, "train.py", "--snapshot_dir", tmp_path / folder]
        return [*map(str, [*start, *data, *RUN, *flags])]

    return make


def start(command):
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def finish(command):
    with start(command) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def assert_same_bits(one, two):
    one, two = (read_tensors(folder / f"model.ckpt-{STEPS}") for folder in (one, two))
    assert set(one) == set(two)
    for name, tensor in one.items():
        if tensor.dtype != object and name != "settings":
            assert tensor.tobytes() == two[name].tobytes(), name


def test_a_run_killed_five_times_ends_with_the_same_bits(command, tmp_path):
    status, _, err = finish(command("whole", "--save_pred_every", 1000))
    assert status == 0, err
    flags, rng, kills = ["--save_pred_every", 2], random.Random(0), 0
    while kills < 5:
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
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


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
    data = ["--data_dir", shapes, "--data_list", "ImageSets/Segmentation/train.txt"]
    sizes = ["--width", "0.0625", "--input_size", "33,33", "--batch_size", 2]
    return folder, [*data, *sizes, "--snapshot_dir", folder]


@pytest.fixture
def run(script, short_run):
    folder, flags = short_run
    if not folder.is_dir():
        result = script("train", *flags, "--num_steps", 2)
        assert result.status == 0, result.err
    return folder


def test_a_finished_run_resumes_to_its_end(script, run):
    result = script("train", "--snapshot_dir", run, "--resume")
    assert result.status == 0, result.err
    assert f"from {run}/model.ckpt-2" in result.out and "width 0.0625" in result.out
    assert "finished 2 steps are done; --resume --num_steps 4 goes on" in result.out


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
    result = script(*resume, "--num_steps", 4)
    assert result.status == 2 and "has done 5 steps; it cannot end after 4" in result.err


def test_a_poly_run_that_is_extended_follows_the_curve_to_its_new_end(train, tmp_path):
    poly = ["--recipe", "poly", "--iter_size", 1, "--save_num_images", 1]
    assert train(*poly, "--num_steps", 1).status == 0
    result = train("--resume", "--num_steps", 10)
    assert "the rate follows the poly curve that ends there" in result.out
    header, row = (tmp_path / "run/history.csv").read_text().splitlines()
    rate = dict(zip(header.split(","), row.split(","), strict=True))["learning_rate"]
    assert float(rate) == pytest.approx(1e-3 * 0.1**0.9)  # of step 10, the tenth of ten


def test_a_resume_that_changes_the_run_is_refused_with_the_list(script, run, short_run):
    flags = ["--resume", "--batch_size", 3, "--seed", 5, "--max_to_keep", 9, "--width", "0.0625"]
    result = script("train", "--snapshot_dir", run, *flags)
    assert result.status == 2
    assert "--batch_size is 2 and not 3, --seed is 0 and not 5;" in result.err


def test_a_resume_with_another_list_is_refused(script, run, shapes, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    resume = ["train", "--snapshot_dir", run, "--resume", "--data_dir", data]
    assert script(*resume).status == 0
    train_list = data / TRAIN
    train_list.write_text(train_list.read_text().replace("shapes_000001\n", ""))
    result = script(*resume)
    assert result.status == 2 and "the contents of data_list and palette" in result.err


def test_there_must_be_a_run_to_resume(script, tmp_path):
    result = script("train", "--snapshot_dir", tmp_path / "nothing", "--resume")
    assert result.status == 2 and "holds no run to resume" in result.err


def limited(megabytes):
    def limit():
        size = int(megabytes * 2**20)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_full_disk_ends_in_one_error_line_and_keeps_the_checkpoints(command, tmp_path):
    """A limit on the size of files stands in for the disk: the wider network's do not fit."""
    folder = tmp_path / "run"
    flags = [
        "--num_steps",
        2,
        "--save_pred_every",
        1,
        "--val_list",
        "ImageSets/Segmentation/val.txt",
    ]
    assert finish(command("run", *flags))[0] == 0
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    more = command("run", "--resume", "--num_steps", 2, "--save_pred_every", 1)
    more = [*more, "--val_list", "ImageSets/Segmentation/val.txt"]
    (folder / "model.ckpt-2.index").unlink()  # so that there is a step to do
    done = subprocess.run(
        more, cwd=ROOT, capture_output=True, text=True, preexec_fn=limited(0.3), check=False
    )
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1 and "Traceback" not in done.stderr
    assert errors[0].rpartition("\r")[2].startswith("error: cannot write")
    one = folder / "model.ckpt-1"
    read_tensors(one)
    for path in (Path(f"{one}.index"), folder / "model.ckpt-best.index"):
        assert path.read_bytes() == before[path]
    leftovers = [path for path in folder.iterdir() if "tempstate" in path.name]
    assert not leftovers and not list(folder.glob("incoming*"))


def test_a_run_resumes_where_its_folder_was_moved_to(script, run, tmp_path, monkeypatch):
    moved = tmp_path / "snapshots"
    shutil.copytree(run, moved)
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    monkeypatch.chdir(tmp_path)
    result = script("train", "--resume")
    assert result.status == 0, result.err
    assert "from snapshots/model.ckpt-2" in result.out
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_resume_with_other_class_weights_is_refused(script, short_run, tmp_path):
    weights, flags = tmp_path / "weights.txt", short_run[1][:-1]
    weights.write_text("1\n" * 21)
    command = ["train", *flags, tmp_path / "run", "--class_weights", weights, "--num_steps", 1]
    assert script(*command).status == 0
    (tmp_path / "moved.txt").write_text("1\n" * 21)
    resume = ["train", "--snapshot_dir", tmp_path / "run", "--resume"]
    result = script(*resume, "--class_weights", tmp_path / "moved.txt")
    assert result.status == 0, result.err
    weights.write_text("1\n" * 20 + "2\n")
    result = script(*resume)
    assert result.status == 2 and "the contents of class_weights" in result.err


def test_weights_that_are_no_run_are_not_resumed(script, checkpoint, tmp_path):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(DATA / f"tf012_narrow_v2.ckpt{suffix}", tmp_path / f"model.ckpt-5{suffix}")
    result = script("train", "--snapshot_dir", tmp_path, "--resume")
    assert result.status == 2 and "start one --restore_from it" in result.err
