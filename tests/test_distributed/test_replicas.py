import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.distributed.replicas import Replicas, _connect
from deeplab_lfov.errors import UserError, WorkerGoneError
from helpers import ROOT, assert_same_run

TWO = Cluster(("a:1", "b:1"), 1)


def test_one_replica_takes_everything():
    replicas = Replicas()
    replicas.connect({"flags": "any"})
    assert (replicas.num_replicas, replicas.num_workers) == (1, 1)
    assert replicas.rows(5) == range(5)
    assert replicas.sum(np.array([3])) == [3]


@pytest.mark.parametrize("batch_size", [3, 7, 30])
def test_the_workers_rows_are_the_batch(batch_size):
    workers = [Replicas(Cluster(("a:1", "b:1", "c:1"), index)) for index in range(3)]
    rows = [list(worker.rows(batch_size)) for worker in workers]
    assert [row for each in rows for row in each] == list(range(batch_size))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_a_batch_is_not_smaller_than_the_number_of_replicas():
    Replicas(TWO).check_batch(2)
    with pytest.raises(UserError, match="--batch_size 1 cannot be shared by 2 devices"):
        Replicas(TWO).check_batch(1)


@pytest.mark.parametrize(
    ("cluster", "message", "expected"),
    [
        (Cluster(), "Socket closed", tf.errors.InternalError),
        (TWO, "CUDA_ERROR_OUT_OF_MEMORY", tf.errors.InternalError),
        (TWO, "Socket closed", WorkerGoneError),
    ],
)
def test_another_worker_has_gone_only_where_there_is_one(cluster, message, expected):
    with pytest.raises(expected), Replicas(cluster)._noticing_the_dead():
        raise tf.errors.InternalError(None, None, message)


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ("gpu:7", "--devices gpu:7 is not there; there is cpu:0"),
        ("cpu:1", "--devices cpu:1 is not there"),
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


def test_a_shell_in_a_job_step_of_slurms_is_told_how_to_train_alone(monkeypatch, capsys):
    def fails():
        raise RuntimeError("no")

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", fails)
    monkeypatch.setenv("SLURM_PROCID", "0")
    with pytest.raises(UserError, match="cannot connect: no"):
        _connect(Cluster(("a:1", "b:1")))
    assert "`env -u SLURM_PROCID python train.py ...` trains alone" in capsys.readouterr().err
