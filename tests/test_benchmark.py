import json
import shlex
import sys

import pytest

from util import benchmark, growth

TINY = ["--width", "0.015625", "--input_size", "33,33", "--repeats", "1"]


@pytest.fixture
def run(monkeypatch, capfd):
    """Call benchmark.py as a shell would; returns the status and the last lines of out and err."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            benchmark.cli.run(benchmark.main, benchmark.parser())
        except SystemExit as exit_:
            status = exit_.code
        captured = capfd.readouterr()
        return status, *((text.splitlines() or [""])[-1] for text in captured)

    return call


@pytest.mark.parametrize("task", ["infer", "train", "convolutions"])
def test_the_last_line_is_what_was_measured(run, task):
    status, out, _ = run(task, *TINY)
    result = json.loads(out)
    assert status == 0 and result["task"] == task and result["input_size"] == [33, 33]
    assert 0 < result["fastest"] <= result["seconds_per_image"] and result["peak_rss_mb"] > 100
    assert ("ratio" in result) == (task == "convolutions")


def test_a_peer_takes_turns_and_gives_the_ratio_of_medians(run, monkeypatch):
    lines = iter([4.0, 1.0, 2.0, 8.0, 3.0, 2.0])  # ours, the peer's, ours, ...
    monkeypatch.setattr(
        benchmark,
        "_last_line",
        lambda command: {"seconds_per_image": next(lines), "fastest": 1.0, "peak_rss_mb": 50},
    )
    _, out, _ = run("infer", "--peer", "peer --fast")
    result = json.loads(out)
    assert result["ratio"] == 3.0 / 2.0 and result["peer"]["seconds_per_image"] == 2.0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('done')", "is no JSON object with seconds_per_image"),
        ('print(\'{"seconds_per_image": 1, "fastest": 1}\')', "peak_rss_mb"),
        ("raise SystemExit('no such engine')", "failed: no such engine"),
    ],
)
def test_a_peer_that_does_not_measure_is_an_error(run, monkeypatch, code, words):
    last_line = benchmark._last_line
    ours = {"seconds_per_image": 1.0, "fastest": 1.0, "peak_rss_mb": 50}
    monkeypatch.setattr(benchmark, "_last_line", lambda c: last_line(c) if c[1] == "-c" else ours)
    peer = shlex.join([sys.executable, "-c", code])
    status, _, error = run("infer", *TINY, "--peer", peer)
    assert status == 2 and error.startswith("error: ") and words in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["infer", "--peer", "'"], "is a quote left open?"),
        (["crf", "--data_dir", "/nowhere"], "no picture JPEGImages/*.jpg in --data_dir /nowhere"),
        (["infer", "--plot", "x.png", "--batch_size", "3"], "chooses sizes and batches itself"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(run, arguments, words):
    status, _, error = run(*arguments)
    assert status == 2 and error.startswith("error: ") and words in error


def test_plot_is_for_tasks_that_grow(run, tmp_path):
    status, _, error = run("crf", "--plot", tmp_path / "x.png")
    assert status == 2 and "--plot is for infer and train" in error


def test_growth_measures_every_size_and_draws_them(tmp_path):
    def run(input_size, batch_size):
        pixels = input_size[0] * input_size[1] * batch_size
        return {
            "seconds_per_image": pixels / batch_size / 1e6,
            "peak_rss_mb": 500 + pixels / 1e4,
            "input_size": list(input_size),
            "batch_size": batch_size,
        }

    result = growth.measure("infer", run)
    assert [one["input_size"][0] for one in result["sides"]] == list(growth.SIDES["infer"])
    assert [one["batch_size"] for one in result["batches"]] == list(growth.BATCHES)
    assert result["power_of_seconds"] == pytest.approx(1)
    assert result["power_of_memory"] == pytest.approx(1, abs=0.02)
    growth.save_plot(tmp_path / "growth.png", "infer", result)
    assert (tmp_path / "growth.png").stat().st_size > 5000
