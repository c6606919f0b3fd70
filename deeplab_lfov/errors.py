"""The one exception that means: the user can put this right."""

import re
from collections.abc import Sequence
from pathlib import Path

_NODES = re.compile(r"\{\{(function_)?node .*?\}\} ?| \[Op:\w+\]")  # in what TensorFlow says


class UserError(Exception):
    """A mistake in a flag, a file or a data set; its text says what, where and what to do.

    `path` is the file that it is about, if it is about one. The scripts print it as one `error:`
    line and exit with status 2. Everything else that is raised is a fault of the program and keeps
    its traceback.
    """

    def __init__(self, message: str, path: str | Path | None = None):
        super().__init__(_NODES.sub("", message))
        self.path = None if path is None else Path(path)


class WorkerGoneError(UserError):
    """Another worker has ended or does not answer, and this one cannot go on without it."""

    def __init__(self):
        super().__init__(
            "another worker has ended or does not answer; its own output may say why; start all "
            "workers again with --resume"
        )


def few(things: Sequence, most: int = 3) -> str:
    """Name the first things of many, for a message: `a, b, c and 7 more`."""
    rest = f" and {len(things) - most} more" if len(things) > most else ""
    return ", ".join(map(str, things[:most])) + rest


def printable(text: str) -> str:
    """Put `?` for what a terminal would obey and not show, and a space for newlines and tabs."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else "?" for c in text)


def shortened(text: str, most: int) -> str:
    """Cut the middle out of a text of more than `most` characters: its start and end say more."""
    if len(text) <= most:
        return text
    kept = most - len(" ... ")
    return f"{text[: kept - kept // 2]} ... {text[-(kept // 2) :]}"
