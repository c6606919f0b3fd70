import json
import shlex
import sys

import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov.errors import UserError
from helpers import BLUE, rows_of_line
from util import benchmark, benchmark_table, benchmark_tasks, growth, turns

TINY = ["--width", "0.015625", "--input_size", "33,33", "--repeats", "1"]


@pytest.fixture
def run(monkeypatch, capfd):
    """Call benchmark.py as a shell would; returns the status and the last lines of out and err."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            benchmark.run(benchmark.main, benchmark.parser())
        except SystemExit as exit_:
            status = exit_.code
        captured = capfd.readouterr()
        return status, *((text.splitlines() or [""])[-1] for text in captured)

    return call


@pytest.mark.parametrize("task", ["infer", "train", "convolutions", "sizes"])
def test_the_last_line_is_what_was_measured(run, task):
    status, out, _ = run(task, *TINY)
    result = json.loads(out)
    assert status == 0 and result["task"] == task and result["input_size"] == [33, 33]
    assert 0 < result["fastest"] <= result["seconds_per_image"] and result["peak_rss_mb"] > 100
    assert ("ratio" in result) == (task in ("convolutions", "sizes"))
    assert "gpu_peak_mb" not in result


def test_a_batch_is_copied_and_gpus_tell_their_peak(run, monkeypatch):
    kinds = {"GPU": ["A"], "CPU": ["B"]}
    monkeypatch.setattr(tf.config, "list_physical_devices", kinds.get)
    config = tf.config.experimental
    monkeypatch.setattr(config, "get_memory_info", lambda device: {"peak": 5 * 2**20 + 1})
    monkeypatch.setattr(config, "get_device_details", lambda gpu: {"device_name": f"X{gpu}"})
    result = json.loads(run("transfer", "--input_size", "33,33", "--repeats", 1)[1])
    assert result["seconds_per_image"] > 0 and result["batch_size"] == 10
    assert result["gpu_peak_mb"] == 5 and result["device"] == "XA"


def test_new_sizes_never_came_before(run, monkeypatch):
    seen = []
    picture = benchmark_tasks.picture
    monkeypatch.setattr(
        benchmark_tasks, "picture", lambda size, seed: seen.append(size) or picture(size, seed)
    )
    assert run("sizes", *TINY)[0] == 0
    assert len(set(seen)) == len(seen) == 3 * benchmark_tasks.SIZES


def test_the_reader_is_measured_in_batches_and_against_decoding(run):
    _, out, _ = run("reader", "--input_size", "33,33", "--batch_size", 200, "--repeats", 1)
    result = json.loads(out)
    assert result["batch_size"] == 200 and result["ratio"] > 0
    assert result["decoding_seconds_per_image"] > 0


def test_evaluation_is_measured_against_its_network(run):
    _, out, _ = run("evaluation", *TINY)
    result = json.loads(out)
    assert result["network_seconds_per_image"] > 0 and result["ratio"] > 0


def test_end_to_end_runs_inference_as_it_is_asked_to(run, monkeypatch):
    commands = []
    monkeypatch.setattr(benchmark_tasks, "_call", lambda command: commands.append(command) or 1)
    _, out, _ = run("end_to_end", *TINY, "--precision", "bfloat16")
    assert {"own_seconds", "several_seconds_per_image"} < set(json.loads(out))
    one, several, imports = commands[:3]
    assert [*map(str, one[-2:])] == ["--precision", "bfloat16"]
    assert len(several) == len(one) + benchmark_tasks.SEVERAL - 1
    assert "inference" not in str(imports)


def test_own_seconds_are_what_is_left_without_network_and_import():
    network, imports, own, n = 0.5, 2.0, 0.75, benchmark_tasks.SEVERAL
    several = (own + imports + n * network) / n
    assert benchmark_tasks.own_seconds(own + imports + network, several, imports) == own


def test_a_peer_takes_turns_and_gives_the_ratio_of_medians(run, monkeypatch):
    lines = iter([4.0, 1.0, 2.0, 8.0, 3.0, 2.0])  # ours, the peer's, ours, ...
    monkeypatch.setattr(
        turns,
        "last_line",
        lambda command: {"seconds_per_image": next(lines), "fastest": 1.0, "peak_rss_mb": 50},
    )
    _, out, _ = run("infer", "--peer", "peer --fast")
    result = json.loads(out)
    assert result["ratio"] == 3.0 / 2.0 and result["peer"]["seconds_per_image"] == 2.0


def test_every_figure_of_several_turns_is_a_median(run, monkeypatch):
    given = {"fastest": 1.0, "peak_rss_mb": 50, "gpu_peak_mb": 7, "batch_size": 2}
    lines = iter(
        {"seconds_per_image": seconds, "own_seconds": own, **given}
        for seconds, own in [(4, 1.0), (1, None), (2.5, 5.0), (8.5, 1.0), (3.0, 2.0), (2.0, 1.0)]
    )
    monkeypatch.setattr(turns, "last_line", lambda command: next(lines))
    result = json.loads(run("infer", "--peer", "peer")[1])
    assert result["seconds_per_image"] == 3.0 and result["own_seconds"] == 2.0
    assert result["peer"]["seconds_per_image"] == 2.0 and result["batch_size"] == 2


def test_all_prints_the_tables_of_this_machine(run, monkeypatch, capfd):
    seen = []

    def last_line(command):
        seen.append(command)
        if command[0] == "slow" and "bfloat16" in command:
            raise UserError("it has no bfloat16")
        seconds = 2.0 if command[0] == "slow" else 1.0
        return {"seconds_per_image": seconds, "fastest": 1.0, "peak_rss_mb": 1500, "ratio": 0.25}

    for module in (turns, benchmark_table):
        monkeypatch.setattr(module, "last_line", last_line)
    monkeypatch.setattr(sys, "argv", ["", "all", "--turns", "1", "--peers", "x=slow --engine y"])
    benchmark.main(vars(benchmark.parser().parse_args()))
    out = capfd.readouterr().out
    assert "| infer, 377 x 505, batch 1, float32 | 1.000, 1,500 | 2.000 (0.50), 1,500 |" in out
    assert "| train, 321 x 321, batch 2, bfloat16 | 1.000, 1,500 |  |" in out
    assert out.count("x: it has no bfloat16") == 2 and "of the time without | 0.25 |" in out
    assert "own start, seconds |  |" in out
    assert json.loads(out.splitlines()[-1])["rows"]
    size = ["--input_size", "377,505", "--batch_size", "1", "--precision", "float32"]
    assert ["slow", "--engine", "y", "infer", *size] in seen


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('done')", "is no JSON object with seconds_per_image"),
        ('print(\'{"seconds_per_image": 1, "fastest": 1}\')', "peak_rss_mb"),
        ("raise SystemExit('no such engine')", "failed: no such engine"),
    ],
)
def test_a_peer_that_does_not_measure_is_an_error(run, monkeypatch, code, words):
    last_line = turns.last_line
    ours = {"seconds_per_image": 1.0, "fastest": 1.0, "peak_rss_mb": 50}
    monkeypatch.setattr(turns, "last_line", lambda c: last_line(c) if c[1] == "-c" else ours)
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
        (["infer", "--plot", "x.png", "--data_dir", "x"], "infer has no use for --data_dir"),
        (["infer", "--turns", "5"], "infer has no use for --turns"),
        (["infer", "--peers", "a=b"], "infer has no use for --peers"),
        (["all", "--peers", "torch"], "is not a name and a command"),
        (["all", "--precision", "bfloat16"], "all has no use for --precision"),
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
    with Image.open(tmp_path / "growth.png") as plot:
        seconds = rows_of_line(plot, BLUE)
    left = {column: row for column, row in seconds.items() if column < 450}
    assert left[max(left)] < 100 < 250 < left[min(left)]  # it grows with the pixels
