"""Commands that measure, run in turns: each ends in a line of JSON, whose figures are summed up."""

import json
import shlex
import statistics
import subprocess
from collections.abc import Sequence

from deeplab_lfov.errors import UserError

FIGURES = ("seconds_per_image", "fastest", "peak_rss_mb")
"""What every line has, each above 0."""


def in_turns(commands: Sequence[list[str]], turns: int) -> list[dict]:
    """Run the commands one after the other, so many times, and return what each measured.

    Figures are medians, but the least `fastest` and the most of the peaks. Prints the seconds of
    every turn. Raises UserError as `last_line`.
    """
    measured: list[list[dict]] = [[] for _ in commands]
    for _ in range(turns):
        for command, results in zip(commands, measured, strict=True):
            results.append(last_line(command))
        print(", ".join(f"{results[-1]['seconds_per_image']:.3f} s" for results in measured))
    return [_summary(results) for results in measured]


def last_line(command: list[str]) -> dict:
    """Run a command and read its last line; raises UserError where it fails or prints no such."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        if all(result[name] > 0 for name in FIGURES):
            return result
        raise ValueError("a figure is not above 0")
    except OSError as error:
        raise UserError(f"cannot run {command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"`{shlex.join(command)}` failed: {last}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"the last line of `{shlex.join(command)}` is no JSON object with {FIGURES[0]}, "
            f"{FIGURES[1]} and {FIGURES[2]}, each above 0"
        ) from error


def _summary(turns: list[dict]) -> dict:
    """Take the medians of several results, the least `fastest` and the most of the peaks."""
    figures = {name: [turn.get(name) for turn in turns] for name in turns[0]}
    medians = {
        name: statistics.median(values)
        for name, values in figures.items()
        if all(map(_is_number, values)) and len(set(values)) > 1
    }
    extremes = {"fastest": min, "peak_rss_mb": max, "gpu_peak_mb": max}
    extremes = {name: pick for name, pick in extremes.items() if name in turns[0]}
    return turns[0] | medians | {n: pick(t[n] for t in turns) for n, pick in extremes.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
