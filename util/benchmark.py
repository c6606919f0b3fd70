#!/usr/bin/env python3
"""Measure speed and memory: the last line is one JSON object, seconds per image and what they are.

Tasks: infer (picture in, mask out), train (a step), sizes (ten pictures of ten sizes again, against
sizes that never came before), transfer (a batch to the device), convolutions (the network against
the same without Winograd's algorithm), reader (training samples, against merely decoding the
pictures), evaluation (against its network alone), crf (against pydensecrf2 if it is installed),
end_to_end (inference.py as a command); all (the tables of docs/speed.md for this machine). Two
things that are compared take turns in one run.
"""

from __future__ import annotations

import json
import resource
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from deeplab_lfov.cli import flags  # noqa: E402
from deeplab_lfov.cli.command import Parser, run  # noqa: E402
from deeplab_lfov.data.image_files import check_replaceable  # noqa: E402
from deeplab_lfov.errors import UserError  # noqa: E402
from deeplab_lfov.files import writable_folder  # noqa: E402
from deeplab_lfov.settings import PRECISIONS  # noqa: E402
from deeplab_lfov.startup import start_tensorflow  # noqa: E402
from util import growth  # noqa: E402
from util.benchmark_table import print_table  # noqa: E402
from util.benchmark_tasks import TASKS, Settings, own_seconds  # noqa: E402
from util.turns import in_turns, last_line  # noqa: E402

COMMAND = flags.checked(shlex.split, bool, "a command; is a quote left open?")


def _named(text: str) -> tuple[str, list[str]]:
    name, _, command = text.partition("=")
    return name, shlex.split(command)


NAMED = flags.checked(_named, all, "a name and a command, such as torch='python peer.py'")
ALL = "all"
_UNUSED_BY_ALL = ("input_size", "batch_size", "precision", "width", "repeats", "data_dir")
_UNUSED_BY_ALL += ("peer", "plot")


def parser() -> Parser:
    """Make the parser of benchmark.py."""
    description = "Measure speed and memory; the last line is one JSON object."
    p = Parser(description, flags.defaults_of(Settings))
    p.add_argument("task", choices=(*TASKS, ALL))
    p.add_argument("--input_size", type=flags.SIZE, help="height,width; default: as in the paper")
    p.add_argument(
        "--batch_size", type=flags.COUNT, help="default: 2 for train, 10 for reader, else 1"
    )
    p.add_argument("--precision", choices=PRECISIONS)
    p.add_argument("--width", type=flags.WIDTH, help="share of VGG-16's channels")
    p.add_argument("--repeats", type=flags.COUNT, help="timed repetitions")
    p.add_argument(
        "--data_dir", type=flags.PATH, help="folder of pictures for reader and crf; default: drawn"
    )
    compared = p.add_mutually_exclusive_group()
    compared.add_argument(
        "--peer",
        type=COMMAND,
        metavar="COMMAND",
        help="another command that prints such a line; runs in turns with this one",
    )
    compared.add_argument(
        "--plot",
        type=flags.PATH,
        metavar="PNG",
        help="measure many sizes and batches, each in a process of its own, and draw them",
    )
    compared.add_argument(
        "--peers",
        type=NAMED,
        nargs="+",
        metavar="NAME=COMMAND",
        help="for all: other engines, whose commands take the task and its sizes as this one does",
    )
    p.add_argument("--turns", type=flags.COUNT, help="of each with --peer and --peers")
    return p


def main(given: dict[str, object]) -> None:
    """Measure once, or in turns with the peer, or once for each size."""
    settings = Settings(**given)
    if settings.task == ALL:
        _check_unused(settings, _UNUSED_BY_ALL)
        sizes = {name: (task.input_size, task.batch_size) for name, task in TASKS.items()}
        peers = dict(settings.peers or ())
        print(json.dumps(print_table(_our_command, sizes, peers, settings.turns)))
        return
    task = TASKS[settings.task]
    unused = (*task.unused, "peers")
    _check_unused(settings, unused if settings.peer else (*unused, "turns"))
    if settings.plot:
        if settings.task not in growth.SIDES or settings.input_size or settings.batch_size:
            names = " and ".join(growth.SIDES)
            raise UserError(f"--plot is for {names}, and chooses sizes and batches itself")
        check_replaceable(settings.plot)
        writable_folder(Path(settings.plot).parent)
        result = growth.measure(
            settings.task, lambda **sizes: last_line(_command(replace(settings, **sizes)))
        )
        growth.save_plot(settings.plot, settings.task, result)
    else:
        settings = replace(
            settings,
            input_size=settings.input_size or task.input_size,
            batch_size=settings.batch_size or task.batch_size,
        )
        result = _against_peer(settings) if settings.peer else _measure(settings)
    print(json.dumps(result))


def _check_unused(settings: Settings, unused: tuple[str, ...]) -> None:
    for name in unused:
        if getattr(settings, name) != getattr(Settings, name):
            raise UserError(f"{settings.task} has no use for --{name}; leave it out")


def _measure(settings: Settings) -> dict:
    # The network's tasks run as evaluate.py and inference.py do.
    device = start_tensorflow(autotune=settings.task == "train")
    what = {"task": settings.task, "engine": "deeplab_lfov", "device": device}
    what |= {name: getattr(settings, name) for name in ("precision", "input_size", "batch_size")}
    with tempfile.TemporaryDirectory() as folder:
        timed = TASKS[settings.task].calls(settings, Path(folder))
        seconds = dict(zip(timed, _take_turns(list(timed.values()), settings.repeats), strict=True))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    what |= {"seconds_per_image": medians[settings.task], "fastest": min(seconds[settings.task])}
    for name in list(timed)[1:]:
        what[f"{name}_seconds_per_image"] = medians[name]
    if settings.task == "end_to_end":
        what["own_seconds"] = statistics.median(map(own_seconds, *seconds.values()))
    elif len(timed) > 1:
        what["ratio"] = medians[settings.task] / medians[list(timed)[1]]
    commands = settings.task == "end_to_end"
    usage = resource.getrusage(resource.RUSAGE_CHILDREN if commands else resource.RUSAGE_SELF)
    what["peak_rss_mb"] = usage.ru_maxrss // 1024
    return what if commands else what | _peak_of_gpu()


def _peak_of_gpu() -> dict[str, int]:
    """Return the most memory that TensorFlow had in use on the first GPU, if there is one."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return {}
    return {"gpu_peak_mb": tf.config.experimental.get_memory_info("GPU:0")["peak"] // 2**20}


def _take_turns(calls: list[Callable[[], int]], repeats: int) -> list[list[float]]:
    """Return the seconds per image of calls in turns; the first turn is not timed.

    Each call returns how many images it did.
    """
    seconds = [[] for _ in calls]
    for repeat in range(-1, repeats):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            num_images = call()
            if repeat >= 0:
                times.append((time.perf_counter() - start) / num_images)
    return seconds


def _against_peer(settings: Settings) -> dict:
    """Run this command without --peer and the peer's in turns, each in a process of its own."""
    ours, theirs = in_turns([_command(settings), settings.peer], settings.turns)
    return ours | {
        "peer": theirs,
        "ratio": ours["seconds_per_image"] / theirs["seconds_per_image"],
        "memory_ratio": ours["peak_rss_mb"] / theirs["peak_rss_mb"],
    }


def _our_command(task: str, *flags: str) -> list[str]:
    return [sys.executable, __file__, task, *flags]


def _command(settings: Settings) -> list[str]:
    """Write settings as a command line, without --peer and --plot."""
    command = _our_command(settings.task)
    names = ("input_size", "batch_size", "precision", "width", "repeats", "data_dir")
    for name in (name for name in names if name not in TASKS[settings.task].unused):
        value = getattr(settings, name)
        if value is not None:
            value = ",".join(map(str, value)) if isinstance(value, tuple) else value
            command += [f"--{name}", str(value)]
    return command


if __name__ == "__main__":
    run(main, parser())
