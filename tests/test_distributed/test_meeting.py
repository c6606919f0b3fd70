"""Workers that meet on 127.0.0.1: each is a thread here, and a process where signals count."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.distributed.meeting import Meeting
from deeplab_lfov.errors import UserError, WorkerGoneError
from helpers import ROOT, free_addresses


@pytest.fixture
def cluster():
    return free_addresses(3)


def outcomes(cluster, *workers, indices=(0, 1, 2)):
    """Run what each worker does of its Meeting; return the error that it ends with, or None."""

    def run(index, work):
        try:
            with Meeting(Cluster(cluster, index)) as meeting:
                work(meeting)
        except UserError as error:
            return error

    with ThreadPoolExecutor() as threads:
        return list(threads.map(run, indices, workers))


def come(meeting):
    meeting.wait(7)


def fail_before(meeting):
    raise UserError("there is no file x.png")


def fail_after(meeting):
    come(meeting)
    fail_before(meeting)


def notice_after(meeting):
    come(meeting)
    raise WorkerGoneError


def test_all_go_on_when_all_have_come(cluster):
    assert outcomes(cluster, come, come, come) == [None] * 3
    assert outcomes(cluster[:1], come) == [None]


def test_a_worker_with_other_flags_is_named_to_all(cluster):
    errors = outcomes(cluster, come, come, lambda meeting: meeting.wait(8))
    assert {str(error) for error in errors} == {
        f"worker {cluster[2]} has other flags, weights or data than the chief; start all with the "
        "same line, and give them the same files"
    }


@pytest.mark.parametrize("who", [0, 1, 2])
def test_who_fails_before_the_start_tells_the_others(cluster, who):
    works = [come, come, come]
    works[who] = fail_before
    errors = outcomes(cluster, *works)
    assert str(errors.pop(who)) == "there is no file x.png"
    for error in errors:
        assert f"{cluster[who]} has failed: there is no file x.png" in str(error)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_who_fails_in_the_run_tells_the_others(cluster, who):
    works = [notice_after] * 3
    works[who] = fail_after
    errors = outcomes(cluster, *works)
    assert str(errors.pop(who)) == "there is no file x.png"
    for error in errors:
        assert f"{cluster[who]} has failed: there is no file x.png" in str(error)
        assert "--resume" in str(error)


def test_who_ends_without_a_word_is_named(cluster):
    errors = outcomes(cluster, notice_after, come, notice_after)
    assert f"worker {cluster[1]} has ended" in str(errors[0]) and errors[1] is None
    assert f"worker {cluster[1]} has ended" in str(errors[2])


def test_strangers_do_not_disturb(cluster):
    def chief(meeting):
        port = int(cluster[0].rpartition(":")[2])
        strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        words = [b"GET / HTTP/1.1\r\n\r\n", b'{"worker": 99}\n', b"[]\n", b"\xff\n"]
        for stranger, word in zip(strangers, words, strict=False):
            stranger.sendall(word)
            stranger.shutdown(socket.SHUT_WR)
        strangers[4].close()
        come(meeting)
        for stranger in strangers:
            stranger.close()

    assert outcomes(cluster, chief, come, come) == [None] * 3


def test_of_two_workers_with_one_index_one_is_told(cluster):
    told = threading.Event()

    def one_of_two(meeting):
        try:
            come(meeting)
        except UserError:
            told.set()
            raise

    def last(meeting):
        told.wait(30)
        come(meeting)

    works = come, one_of_two, one_of_two, last
    chief, *doubles, other = outcomes(cluster, *works, indices=(0, 1, 1, 2))
    assert chief is None and other is None and None in doubles
    (error,) = set(doubles) - {None}
    assert f"worker {cluster[1]} is there already; give each its own index" in str(error)


def test_a_port_that_is_taken_is_a_user_error(cluster):
    with socket.create_server(("127.0.0.1", int(cluster[0].rpartition(":")[2]))):
        (error,) = outcomes(cluster, come)
    assert f"the chief cannot listen at {cluster[0]}" in str(error)


@pytest.fixture
def waiting(shapes, tmp_path, cluster):
    """The chief and a worker of three, which wait for the third."""
    flags = ["--data_dir", shapes, "--data_list", "ImageSets/Segmentation/train.txt"]
    command = [sys.executable, "train.py", *flags, "--snapshot_dir", tmp_path / "run"]
    processes, pipe = [], subprocess.PIPE
    for index in range(2):
        task = {"cluster": {"worker": cluster}, "task": {"type": "worker", "index": index}}
        env = {**os.environ, "TF_CONFIG": json.dumps(task)}
        processes.append(
            subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=env)
        )
        while "waiting at most" not in processes[-1].stderr.readline():
            pass
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("who", [0, 1])
def test_a_signal_ends_the_waiting_of_all(waiting, who):
    other = waiting[1 - who]
    waiting[who].send_signal(signal.SIGTERM)
    assert waiting[who].wait(30) == -signal.SIGTERM
    assert other.wait(30) == 2
    error = other.stderr.read().rpartition("error: ")[2]
    assert "has ended; its own output may say why" in error
