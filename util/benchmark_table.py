"""The tables of docs/speed.md for this machine: ours and other engines in turns, and ours alone."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deeplab_lfov.errors import UserError
from util.turns import in_turns, last_line

ROWS = tuple(
    (task, precision) for task in ("infer", "train") for precision in ("float32", "bfloat16")
)
"""What other engines do too."""

ALONE = {
    "convolutions": ("the network with Winograd's algorithm, of the time without", "ratio"),
    "crf": ("the CRF, of pydensecrf2's time", "ratio"),
    "reader": ("reading a training sample, of the time to decode its picture", "ratio"),
    "evaluation": ("evaluation, of its network's time", "ratio"),
    "end_to_end": ("inference.py's own start, seconds", "own_seconds"),
}
"""What is measured by ourselves: the words, and the figure that they are about."""

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")

Command = Callable[..., list[str]]


def print_table(
    command: Command, sizes: Mapping[str, tuple], peers: Mapping[str, list[str]], turns: int
) -> dict:
    """Print the tables as Markdown, and return their figures.

    command: gives our command line of a task and its flags; sizes: (input_size, batch_size) of each
    task; peers: by name, the start of a command that `infer --input_size 377,505 --batch_size 1
    --precision float32` is added to. An engine that fails leaves its cell empty, and says why.
    """
    rows, faults = {}, []
    for task, precision in ROWS:
        (height, width), batch = sizes[task]
        flags = ["--input_size", f"{height},{width}", "--batch_size", str(batch)]
        flags += ["--precision", precision]
        commands = {"ours": command(task, *flags)}
        commands |= {name: [*start, task, *flags] for name, start in peers.items()}
        name = f"{task}, {height} x {width}, batch {batch}, {precision}"
        print(name)
        rows[name] = _row(commands, turns, faults)
    alone = {task: last_line(command(task)) for task in ALONE}
    print(
        "\n".join(["", processor(), "", *_against(rows, list(peers)), "", *_alone(alone), *faults])
    )
    return {"task": "all", "processor": processor(), "rows": rows, "alone": alone}


def _row(commands: Mapping[str, list[str]], turns: int, faults: list[str]) -> dict[str, dict]:
    """Measure the commands that run at all, in turns."""
    running = {}
    for name, command in commands.items():
        try:
            last_line(command)
            running[name] = command
        except UserError as error:
            faults.append(f"{name}: {error}")
    return dict(zip(running, in_turns(list(running.values()), turns), strict=True))


def _against(rows: Mapping[str, dict[str, dict]], peers: Sequence[str]) -> list[str]:
    lines = [f"| seconds a picture (ours / theirs), peak in MB | {' | '.join(['ours', *peers])} |"]
    lines.append("|---" * (2 + len(peers)) + "|")
    for name, row in rows.items():
        cells = [_cell(row[each], row["ours"]) if each in row else "" for each in ("ours", *peers)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(figures: dict, ours: dict) -> str:
    seconds, memory = figures["seconds_per_image"], figures["peak_rss_mb"]
    ratio = "" if figures is ours else f" ({ours['seconds_per_image'] / seconds:.2f})"
    return f"{seconds:.3f}{ratio}, {memory:,}"


def _alone(alone: Mapping[str, dict]) -> list[str]:
    figures = {words: alone[task].get(figure) for task, (words, figure) in ALONE.items()}
    shown = {words: "" if value is None else f"{value:.2f}" for words, value in figures.items()}
    return ["| what | it is |", "|---|---|", *(f"| {w} | {value} |" for w, value in shown.items())]


def processor() -> str:
    """Name the processor, its cores and what of its arithmetic matters here."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    flags = [flag for flag in _FLAGS if re.search(rf"\b{flag}\b", text)]
    return ", ".join([name.group(1) if name else "a processor", f"{os.cpu_count()} cores", *flags])
