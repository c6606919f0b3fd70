"""What a person sees of a running program: error lines, progress, and no chatter of TensorFlow."""

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

from tqdm import tqdm

from deeplab_lfov.errors import UserError, printable, shortened

_MOST_OF_AN_ERROR = 490  # characters, for a line under 500: names in files can be of any length


def print_error(error: UserError) -> None:
    """Print the one `error:` line of a user's mistake on stderr, whatever names it quotes."""
    line = " ".join(printable(str(error)).split())
    print("error: " + shortened(line, _MOST_OF_AN_ERROR), file=sys.stderr)


def print_warning(text: str) -> None:
    """Print a `warning:` line on stderr, whatever names it quotes."""
    print(printable(f"warning: {text}"), file=sys.stderr)


def progress(
    items: Iterable | None,
    total: int | None,
    unit: str,
    first: int = 0,
    keep: bool = True,
    show: bool = True,
    form: str | None = None,
) -> tqdm:
    """Draw a bar on stderr with rate and time left; in a log file a line a minute.

    items: None for a bar that is told by `update`. On a terminal it is green, unless NO_COLOR is
    set. form: of the line, as tqdm's bar_format.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    look = {"initial": first, "unit": f" {unit}", "leave": keep, "disable": not show}
    look |= {"mininterval": 0.1 if terminal else 60, "bar_format": form}
    look |= {"colour": "green" if terminal and not os.environ.get("NO_COLOR") else None}
    return tqdm(items, total=total, **look)


class _Lasting:
    """A stream that goes on to nowhere when it cannot be written to; `lost` gets the reason."""

    def __init__(self, stream: TextIO, lost: list[str]):
        self._stream, self._lost = stream, lost

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._stream, name)
        return functools.partial(self._tried, part) if name in ("write", "flush") else part

    def _tried(self, call: Callable[..., Any], *arguments: str) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            self._lost.append(f"output lost: {error.strerror or error}")
            with suppress(OSError):  # it has no number
                to_nowhere(self._stream.fileno())


@contextmanager
def lasting_output() -> Iterator[list[str]]:
    """Let the block go on when nobody takes its output any more; the list gets why."""
    lost: list[str] = []
    out, err = (_Lasting(stream, lost) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield lost
        sys.stdout.flush()


def to_nowhere(number: int) -> None:
    """Let what is written to a stream, by its number, vanish."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def class_table(names: Sequence[str], *columns: Sequence[str], width: int = 8) -> list[str]:
    """Write a line for each class: its name, and what the columns say of it, so wide each."""
    names = list(map(printable, names))
    pad = max(map(len, names)) + 2
    rows = zip(names, *columns, strict=True)
    return [name.ljust(pad) + "".join(f"{cell:>{width}}" for cell in row) for name, *row in rows]


def wants_chatter() -> bool:
    """Tell whether TF_CPP_MIN_LOG_LEVEL in the environment asks for TensorFlow's messages."""
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what the process writes to stderr, C++ included; show it if the block fails.

    A UserError is no such failure, as its message says all. Nothing is held back from those who
    want the chatter: they see each line when it is written, even if the block hangs or crashes.
    """
    if wants_chatter() or sys.stderr is None:  # None: the process was started with it closed
        yield
        return
    sys.stderr.flush()
    stderr, failed = os.dup(2), True
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
            failed = False
        except UserError:
            failed = False
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                held.seek(0)
                os.write(2, held.read())
