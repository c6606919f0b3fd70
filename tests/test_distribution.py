import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deeplab_lfov.cluster import Cluster
from deeplab_lfov.distribution import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.history import History
from deeplab_lfov.settings import FREE
from deeplab_lfov.weight_files import checkpoints_in, read_tensors

ROOT = Path(__file__).parents[1]
TWO = Cluster(("a:1", "b:1"), 1)


def test_one_replica_takes_everything():
    replicas = Replicas()
    replicas.connect()
    assert (replicas.num_replicas, replicas.num_workers, replicas.is_chief) == (1, 1, True)
    assert replicas.rows(5) == range(5)
    assert replicas.sum(np.array([3])) == [3]
    with replicas.watching() as check:
        check()


@pytest.mark.parametrize("batch_size", [3, 7, 30])
def test_the_workers_rows_are_the_batch(batch_size):
    workers = [Replicas(Cluster(("a:1", "b:1", "c:1"), index)) for index in range(3)]
    rows = [list(worker.rows(batch_size)) for worker in workers]
    assert [row for each in rows for row in each] == list(range(batch_size))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    shares = [worker.share("abcdefg") for worker in workers]
    assert shares == ["adg", "be", "cf"]


def test_a_batch_is_not_smaller_than_the_number_of_replicas():
    Replicas(TWO).check_batch(2)
    with pytest.raises(UserError, match="--batch_size 1 cannot be shared by 2 devices"):
        Replicas(TWO).check_batch(1)


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ("gpu:7", "--devices gpu:7 is not there; there is cpu:0"),
        ("cpu:1", "--devices cpu:1 is not there"),
        ("cpu:0,gpu:0", "not a list of different devices"),
        ("cpu:0,cpu:0", "not a list of different devices"),
        ("tpu", "not a list of different devices"),
    ],
)
def test_devices_that_are_not_there_are_named(train, devices, words):
    result = train("--num_steps", 1, "--devices", devices)
    assert result.status == 2 and result.err.startswith("error: ")
    assert words in result.err and result.err.count("\n") == 1


def test_several_devices_compute_what_one_does(train, shapes, tmp_path):
    """With dropout, Winograd's algorithm (64 channels), 7 crops in each of 2 passes, weights."""
    flags = ["--batch_size", 7, "--iter_size", 2, "--num_steps", 5, "--save_pred_every", 5]
    flags += ["--class_weights", "balanced", "--random_mirror", "--optimizer", "sgd"]
    flags += ["--learning_rate", 1e-3, "--head_lr_mult", 10, "--weight_decay", 5e-4]
    flags += ["--width", 1 / 8]
    assert train(*flags).status == 0
    command = ["train.py", "--data_dir", shapes, "--input_size", "33,33"]
    command += ["--data_list", "ImageSets/Segmentation/train.txt", *flags]
    command += ["--snapshot_dir", tmp_path / "two", "--devices", "cpu:0,cpu:1"]
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "device   2 x CPU" in done.stdout
    assert_same_run(tmp_path / "run", tmp_path / "two")


def assert_same_run(one, two):
    """Weights, slots and losses to 1e-5, the settings to the letter."""
    losses = [
        [row["loss"] for row in History(run, 10**6).rows if "loss" in row] for run in (one, two)
    ]
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-5)
    one, two = map(read_tensors, (one, two))
    assert set(one) == set(two) and one["global_step"] == two["global_step"]
    for name, tensor in one.items():
        if tensor.dtype == np.float32:
            np.testing.assert_allclose(two[name], tensor, rtol=0, atol=1e-5, err_msg=name)
    settings = [json.loads(tensors["settings"].item()) for tensors in (one, two)]
    fixed = [{n: v for n, v in each.items() if n not in FREE} for each in settings]
    assert fixed[0] == fixed[1] and not {"devices"} & set(settings[1])


def test_a_signal_to_another_worker_ends_this_one_with_a_checkpoint(train, tmp_path, monkeypatch):
    def train_step(self, solver, batch_size):
        def step(images, labels, notes):
            loss = float(solver.step(images, labels))
            return loss, notes + [0, 0, solver.global_step.numpy() == 3]

        return step

    monkeypatch.setattr(Replicas, "train_step", train_step)
    monkeypatch.setattr(Replicas, "num_workers", 2)
    monkeypatch.setattr(Replicas, "rows", lambda self, batch_size: range(batch_size))
    monkeypatch.setattr(Replicas, "connect", lambda self, fingerprint: None)
    monkeypatch.setattr(Replicas, "sum", lambda self, numbers: numbers)
    result = train("--num_steps", 9)
    assert result.status == 128 + signal.SIGTERM, result.err
    assert "stopped by SIGTERM after step 3" in result.out
    assert [path.name for path in checkpoints_in(tmp_path / "run")] == ["model.ckpt-3"]
