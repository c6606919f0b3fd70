import functools
import json
import shlex
import sys

import pytest
import tensorflow as tf

from helpers import DATA, NARROW
from util import benchmark

TINY = ["--input_size", "33,33", "--repeats", "1"]


@pytest.fixture
def run(script, monkeypatch):
    """Call benchmark.py, on a narrow network; returns status, and last lines of out and err."""
    lib, narrow = benchmark.lib, DATA / "tf012_narrow_v2.ckpt"
    network = functools.partial(lib.DeepLabLFOVModel, width=NARROW)
    monkeypatch.setattr(lib, "DeepLabLFOVModel", network)
    monkeypatch.setattr(lib, "Predictor", functools.partial(lib.Predictor, narrow))

    def call(*arguments):
        result = script("util.benchmark", *arguments)
        texts = result.out, result.err
        return result.status, *((text.splitlines() or [""])[-1] for text in texts)

    return call


@pytest.mark.parametrize("task", ["infer", "train", "convolutions", "crf"])
def test_the_last_line_is_what_was_measured(run, task, monkeypatch):
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    status, out, error = run(task, *TINY)
    assert status == 0, error
    result = json.loads(out)
    assert result["task"] == task and result["input_size"] == [33, 33]
    assert 0 < result["fastest"] <= result["seconds_per_image"] and result["peak_rss_mb"] > 100
    assert ("ratio" in result) == (task == "convolutions")
    assert "gpu_peak_mb" not in result


def test_gpus_tell_their_name_and_peak(run, monkeypatch):
    kinds = {"GPU": ["A"], "CPU": ["B"]}
    monkeypatch.setattr(tf.config, "list_physical_devices", kinds.get)
    config = tf.config.experimental
    monkeypatch.setattr(config, "get_memory_info", lambda device: {"peak": 5 * 2**20 + 1})
    monkeypatch.setattr(config, "get_device_details", lambda gpu: {"device_name": f"X{gpu}"})
    tasks = {"none": (lambda *_: {"none": (2, int)}, (1, 1), 2, "")}
    monkeypatch.setattr(benchmark, "TASKS", tasks)
    result = json.loads(run("none")[1])
    assert result["gpu_peak_mb"] == 5 and result["device"] == "XA" and result["batch_size"] == 2


def test_the_reader_is_measured_against_decoding_the_pictures_of_a_folder(run, shapes, monkeypatch):
    monkeypatch.setattr(benchmark, "SAMPLES", 4)
    _, out, error = run("reader", *TINY, "--data_dir", shapes, "--batch_size", 2)
    result = json.loads(out)
    assert result["batch_size"] == 2 and result["ratio"] > 0, error
    assert result["decoding_seconds_per_image"] > 0


def test_end_to_end_runs_the_scripts_as_they_are_asked_to(run, monkeypatch):
    commands = []
    monkeypatch.setattr(benchmark.subprocess, "run", lambda command, **_: commands.append(command))
    _, out, _ = run("end_to_end", *TINY, "--precision", "bfloat16")
    names = {"own_seconds", "several_seconds_per_image", "evaluation_seconds_per_image"}
    assert names < set(json.loads(out))
    one, several, imports, evaluation = commands[:4]
    assert [*map(str, one[-2:])] == ["--precision", "bfloat16"]
    assert len(several) == len(one) + benchmark.SEVERAL - 1
    assert "inference" not in str(imports) and evaluation[1] == "evaluate.py"


def test_a_peer_takes_turns_and_gives_the_ratio_of_medians(run, monkeypatch):
    seconds = iter([4.0, 1.0, 2.0, 8.0, 3.0, 2.0])  # ours, the peer's, ours, ...
    commands = []

    def last_line(command):
        commands.append(command)
        peak = 50 + len(commands)
        return {"seconds_per_image": next(seconds), "fastest": 1.0, "peak_rss_mb": peak}

    monkeypatch.setattr(benchmark, "last_line", last_line)
    result = json.loads(run("infer", *TINY, "--peer", "peer --fast")[1])
    assert result["ratio"] == 3.0 / 2.0 and result["peer"]["seconds_per_image"] == 2.0
    assert result["peak_rss_mb"] == 55 and result["peer"]["peak_rss_mb"] == 56
    assert commands[1] == ["peer", "--fast"] and commands[0][2:] == ["infer", *TINY]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('done')", "gives no JSON with seconds_per_image"),
        ('print(\'{"seconds_per_image": 1, "fastest": 1}\')', "peak_rss_mb"),
        ('print(\'{"seconds_per_image": 0, "fastest": 1, "peak_rss_mb": 1}\')', "gives no JSON"),
        ("raise SystemExit('no such engine')", "peak_rss_mb: no such engine"),
    ],
)
def test_a_peer_that_does_not_measure_is_an_error(run, monkeypatch, code, words):
    last_line = benchmark.last_line
    ours = {"seconds_per_image": 1.0, "fastest": 1.0, "peak_rss_mb": 50}
    monkeypatch.setattr(benchmark, "last_line", lambda c: last_line(c) if c[1] == "-c" else ours)
    peer = shlex.join([sys.executable, "-c", code])
    status, _, error = run("infer", *TINY, "--peer", peer)
    assert status == 2 and error.startswith("error: ") and words in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["infer", "--peer", "'"], "is a quote left open?"),
        (["crf", "--data_dir", "/nowhere"], "no picture JPEGImages/*.jpg in --data_dir /nowhere"),
        (["end_to_end", "--batch_size", "3"], "end_to_end has no use for --batch_size"),
        (["crf", "--precision", "bfloat16"], "crf has no use for --precision"),
        (["infer", "--data_dir", "x"], "infer has no use for --data_dir"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(run, arguments, words):
    status, _, error = run(*arguments)
    assert status == 2 and error.startswith("error: ") and words in error
