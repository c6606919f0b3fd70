"""Several processes on 127.0.0.1 train as one does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from deeplab_lfov.cli.command import run
from deeplab_lfov.distributed.cluster import Cluster, check_alike, checksum
from deeplab_lfov.errors import UserError
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


def start_one(workers, index, *arguments):
    """One of the workers, at addresses, that run train.py: a process; the first is the chief."""
    task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
    env = {**os.environ, "TF_CONFIG": json.dumps(task)}
    env.pop("TF_CPP_MIN_LOG_LEVEL", None)  # which the tests' own TensorFlow has set
    command, pipe = [sys.executable, "train.py", *map(str, arguments)], subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=env)


def start(count, *arguments):
    """`count` workers, as processes; the first is the chief."""
    workers = free_addresses(count)
    return [start_one(workers, index, *arguments) for index in range(count)]


def finish(processes):
    """(status, out, err) of each, which must end within five minutes."""
    try:
        texts = [process.communicate(timeout=300) for process in processes]
        return [(each.returncode, *text) for each, text in zip(processes, texts, strict=True)]
    finally:
        for process in processes:
            process.kill()


def lines_of(err):
    """What stands on stderr beside bar and warnings, after the line of a worker that waits."""
    lines = [line for line in re.split(r"[\r\n]+", err) if not line.startswith("warning: ")]
    first, *lines = [line for line in lines if line.strip() and "| " not in line]
    assert re.match(r"worker   \d of \d, with the chief at 127.0.0.1:\d+; waiting", first)
    return lines


def test_three_workers_resume_the_run_of_one(alone, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(alone[0], folder, ignore=shutil.ignore_patterns(f"*-{STEPS}*"))
    (chief, *others) = finish(start(3, "--snapshot_dir", folder, "--resume"))
    assert chief[0] == 0, chief[2]
    assert "3 workers, each CPU" in chief[1]
    assert f"from {folder}/model.ckpt-{STEPS // 2}" in chief[1]
    assert [(status, out, lines_of(err)) for status, out, err in others] == [(0, "", [])] * 2
    assert_same_run(alone[0], folder)


def test_a_worker_that_dies_ends_the_other_and_one_process_resumes(alone, script, tmp_path):
    folder, flags = tmp_path / "run", alone[1]
    chief, worker = start(2, *flags, "--snapshot_dir", folder)
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
    chief, worker = processes = start(2, *flags, *more)
    for line in chief.stdout:
        if line.startswith("step 2:"):
            break
    worker.send_signal(signal.SIGTERM)
    (status, out, err), (other, _, _) = finish(processes)
    assert status == other == 128 + signal.SIGTERM, err
    step = int(re.search(r"stopped by SIGTERM after step (\d+)", out).group(1))
    assert read_tensors(folder)["global_step"] == step


THREE = Cluster(("a:1", "b:1", "c:1"))
FACTS = {"flags": {"a": 1, "b": None}, "data": ["x", [1.5]], "weights": 7}


def compare(*facts):
    """Let each worker of three compare its facts with those of the others."""
    said = []
    for index, each in enumerate(facts):
        check_alike(THREE._replace(index=index), each, lambda mine: said.append(mine) or mine * 0)
    for each in facts:
        check_alike(THREE, each, lambda _: sum(said))


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"flags": {"a": 1, "b": 0}}, "flags"),
        ({"weights": 8, "flags": {}}, "flags and weights"),
    ],
)
def test_what_differs_is_named(other, names):
    compare(FACTS, FACTS, FACTS)
    with pytest.raises(UserError, match=f"worker c:1 has other {names} than the chief; "):
        compare(FACTS, FACTS, FACTS | other)


def test_the_checksum_of_weights_is_that_of_all_their_numbers():
    weights = {"w": np.ones((2, 2)), "b": np.zeros(3), "names": np.array(["x"], object)}
    assert checksum(weights) == checksum(dict(reversed(weights.items()))) != checksum({})
    assert checksum(weights) != checksum(weights | {"b": np.array([0, 0, 1.0])})


def test_a_worker_with_other_flags_ends_all(alone, tmp_path):
    flags = [*alone[1], "--snapshot_dir", tmp_path / "run"]
    addresses = free_addresses(2)
    processes = [start_one(addresses, index, *flags, "--seed", index) for index in range(2)]
    for status, _, err in finish(processes):
        (line,) = lines_of(err)
        assert status == 2
        assert line.startswith(f"error: worker {addresses[1]} has other flags than the chief; ")
    assert not checkpoints_in(tmp_path / "run")


@pytest.mark.parametrize(("index", "number"), [(0, signal.SIGINT), (1, signal.SIGTERM)])
def test_a_signal_ends_the_waiting_for_one_that_never_comes(alone, tmp_path, index, number):
    flags = [*alone[1], "--snapshot_dir", tmp_path / "run"]
    process = start_one(free_addresses(2), index, *flags)
    for line in process.stderr:
        if "waiting" in line:
            break
    process.send_signal(number)
    ((status, _, err),) = finish([process])
    assert status in (-number, 128 + number) and "Traceback" not in err


TASK = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("evaluate", json.dumps(TASK), "evaluate.py is for one process, and TF_CONFIG or srun"),
        ("evaluate", "worker 1 of 2", "TF_CONFIG is wrong"),
        ("train", "worker 1 of 2", "TF_CONFIG is wrong"),
    ],
)
def test_a_tf_config_of_no_use_is_one_line(script, monkeypatch, name, config, words):
    monkeypatch.setenv("TF_CONFIG", config)
    monkeypatch.setattr(os, "_exit", sys.exit)
    result = script(name)
    assert result.status == 2 and result.err.count("\n") == 1
    assert result.err.startswith(f"error: {words}")
