"""Several processes on 127.0.0.1 train and evaluate as one does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from deeplab_lfov.cli.command import run
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in
from helpers import ROOT, assert_same_run, free_addresses

STEPS = 20
TRAIN_LIST = ["--data_list", "ImageSets/Segmentation/train.txt"]
RUN = ["--width", "0.0625", "--input_size", "33,33", "--batch_size", 7, "--random_mirror"]
RUN += ["--recipe", "poly", "--num_steps", STEPS, "--save_pred_every", STEPS // 2]


@pytest.fixture(scope="module")
def alone(shapes, tmp_path_factory):
    """The folder of a run of one process, and its flags."""
    import train

    folder = tmp_path_factory.mktemp("alone") / "run"
    flags = ["--data_dir", shapes, *TRAIN_LIST, *RUN]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*map(str, ["train", *flags, "--snapshot_dir", folder])])
        run(train.main, train.parser())
    return folder, flags


def start(count, script, *arguments):
    """`count` workers that run a script, as processes; the first is the chief."""
    workers = free_addresses(count)
    command, pipe, processes = [sys.executable, script, *map(str, arguments)], subprocess.PIPE, []
    for index in range(count):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        env = {**os.environ, "TF_CONFIG": json.dumps(task)}
        env.pop("TF_CPP_MIN_LOG_LEVEL", None)  # which the tests' own TensorFlow has set
        processes.append(
            subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=env)
        )
    return processes


def finish(processes):
    """(status, out, err) of each, which must end within a minute."""
    try:
        texts = [process.communicate(timeout=60) for process in processes]
        return [(each.returncode, *text) for each, text in zip(processes, texts, strict=True)]
    finally:
        for process in processes:
            process.kill()


def lines_of(err):
    """What stands on stderr but the bar, after the line of a worker that waits."""
    first, *lines = [
        line for line in re.split(r"[\r\n]+", err) if line.strip() and "| " not in line
    ]
    assert re.match(r"worker   \d of \d, with the chief at 127.0.0.1:\d+; waiting", first)
    return lines


def test_three_workers_resume_the_run_of_one(alone, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(alone[0], folder, ignore=shutil.ignore_patterns(f"*-{STEPS}*"))
    (chief, *others) = finish(start(3, "train.py", "--snapshot_dir", folder, "--resume"))
    assert chief[0] == 0, chief[2]
    assert (
        "3 workers, each CPU" in chief[1] and f"from {folder}/model.ckpt-{STEPS // 2}" in chief[1]
    )
    assert [(status, out, lines_of(err)) for status, out, err in others] == [(0, "", [])] * 2
    assert_same_run(alone[0], folder)


def test_a_worker_that_dies_ends_the_other_and_one_process_resumes(alone, script, tmp_path):
    folder, flags = tmp_path / "run", alone[1]
    chief, worker = start(2, "train.py", *flags, "--snapshot_dir", folder)
    for line in chief.stdout:
        if line.startswith(f"step {STEPS // 2}:"):
            break
    worker.kill()
    (status, _, err), _ = finish([chief, worker])
    assert status == 2, err
    assert len(lines_of(err)) == 1 and lines_of(err)[0].startswith("error: another worker has"), err
    assert checkpoints_in(folder)
    result = script("train", "--snapshot_dir", folder, "--resume")
    assert result.status == 0, result.err
    assert_same_run(alone[0], folder)


def test_a_signal_to_one_worker_stops_all_after_the_same_step(alone, tmp_path):
    folder, flags = tmp_path / "run", alone[1]
    more = ["--num_steps", 100_000, "--save_pred_every", 2, "--snapshot_dir", folder]
    chief, worker = processes = start(2, "train.py", *flags, *more)
    for line in chief.stdout:
        if line.startswith("step 2:"):
            break
    worker.send_signal(signal.SIGTERM)
    (status, out, err), (other, _, _) = finish(processes)
    assert status == other == 128 + signal.SIGTERM, err
    step = int(re.search(r"stopped by SIGTERM after step (\d+)", out).group(1))
    assert read_tensors(folder)["global_step"] == step


def test_two_workers_evaluate_as_one_does(alone, script, shapes, tmp_path):
    def flags(name):
        outputs = {flag: tmp_path / name / flag for flag in ("--json", "--save_dir", "--report")}
        (tmp_path / name).mkdir()
        return [part for pair in outputs.items() for part in pair]

    common = ["--data_dir", shapes, "--restore_from", alone[0], "--trimap", "1,4", "--bf"]
    one = script("evaluate", *common, *flags("one"))
    assert one.status == 0, one.err
    chief, other = finish(start(2, "evaluate.py", *common, *flags("two")))
    assert (chief[0], *other[:2], lines_of(other[2])) == (0, 0, "", []), chief[2]
    assert table(chief[1]) == table(one.out) and "3 pictures in" in chief[1]
    one, two = (json.loads((tmp_path / name / "--json").read_text()) for name in ("one", "two"))
    times = {"seconds": 0, "date": ""}
    assert one | times == two | times
    files = [path for path in (tmp_path / "one").rglob("*.*") if path.is_file()]
    assert len(files) == 3 + 1 + 3 * 4  # masks; the report's page and pictures
    for path in files:
        both = path, tmp_path / "two" / path.relative_to(tmp_path / "one")
        pages = [re.sub(rb"<dt>written</dt>.*?</dd>", b"", each.read_bytes()) for each in both]
        assert pages[0] == pages[1], path


def table(out):
    return [line for line in out.splitlines() if "%" in line]


@pytest.mark.parametrize(("name", "flag"), [("train", []), ("evaluate", ["--restore_from", "x"])])
def test_a_wrong_tf_config_is_one_line(script, monkeypatch, name, flag):
    monkeypatch.setenv("TF_CONFIG", "worker 1 of 2")
    monkeypatch.setattr(os, "_exit", sys.exit)
    result = script(name, *flag)
    assert result.status == 2 and result.err.count("\n") == 1
    assert result.err.startswith("error: TF_CONFIG is wrong")
