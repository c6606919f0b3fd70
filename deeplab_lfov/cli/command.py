"""What the commands share when they run: how flags are parsed, and errors become one line."""

import argparse
import difflib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from deeplab_lfov.console import print_error, to_nowhere
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.settings import is_number

ELSEWHERE = {
    **dict.fromkeys(("lr", "base_lr", "rate"), "learning_rate"),
    **dict.fromkeys(("bs", "batch"), "batch_size"),
    **dict.fromkeys(("epoch", "num_epochs"), "epochs"),
    **dict.fromkeys(("steps", "iters", "iterations", "max_iter"), "num_steps"),
    **dict.fromkeys(("output", "out", "output_dir"), "save_dir"),
    **dict.fromkeys(("checkpoint", "ckpt", "weights", "pretrained", "model"), "restore_from"),
    **dict.fromkeys(("gpu", "gpus", "device"), "devices"),
    **dict.fromkeys(("wd", "decay"), "weight_decay"),
    **dict.fromkeys(("size", "crop_size"), "input_size"),
}
"""What flags are called in other programs -> what they are called here."""

_MOST_PIXELS = 10**9  # of a picture: decoding takes 10 bytes each, and files may lie
_READER_GONE = 128 + 13  # as of a process that SIGPIPE ends; Windows lacks the name


class Parser(argparse.ArgumentParser):
    """A parser that returns the flags that were given, and raises UserError for mistakes in them.

    defaults: what the flags that are not given stand for, by name, for the help to show.
    """

    def __init__(self, description: str, defaults: Mapping[str, object] | None = None):
        self.defaults = dict(defaults or {})
        super().__init__(
            description=description,
            formatter_class=functools.partial(_Formatter, self.defaults),
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )

    def given(self) -> dict[str, object]:
        """Parse the command line and return the values of the flags on it, by name."""
        values, unknown = self.parse_known_intermixed_args()  # flags may stand between paths
        if unknown:
            self.error(f"unknown: {' '.join(unknown)}{self._meant(unknown[0])}{_apart(unknown[0])}")
        return vars(values)

    def error(self, message: str) -> None:
        """Raise UserError where argparse would print its usage and exit."""
        raise UserError(f"{message}; {self.prog} --help explains the flags")

    def _meant(self, flag: str) -> str:
        """Ask whether a known flag was meant by one that is not."""
        typed = flag.partition("=")[0].lstrip("-").replace("-", "_").lower()
        known = [option[2:] for option in self._option_string_actions if option.startswith("--")]
        close = [ELSEWHERE[typed]] if ELSEWHERE.get(typed) in known else []
        close += difflib.get_close_matches(typed, known, 1)
        return f"; did you mean --{close[0]}?" if close and flag.startswith("-") else ""


def _apart(value: str) -> str:
    """Say how a value is written that stands alone, though it belongs to the flag before it."""
    flag = sys.argv[sys.argv.index(value) - 1] if value in sys.argv else ""
    if value.lower() in ("true", "false", "yes", "no", "on", "off") and flag.startswith("--"):
        return f"; {flag} takes no value: {flag} turns it on, --no-{flag[2:]} off"
    return "; lists are written with commas, such as 0.5,1" if is_number(value) else ""


class _Formatter(argparse.HelpFormatter):
    """A help formatter that shows the default of every flag that has one."""

    def __init__(self, defaults: Mapping[str, object], prog: str, **sizes: object):
        super().__init__(prog, **sizes)
        self._defaults = defaults

    def _get_help_string(self, action: argparse.Action) -> str:
        default = self._defaults.get(action.dest)
        if default is None or not action.option_strings:
            return action.help
        text = str(default)
        if isinstance(default, tuple):
            text = ",".join(f"{part:g}" for part in default)
        return f"{action.help} (default: {text.replace('%', '%%')})"


def run(main: Callable[[dict[str, object]], None], parser: Parser) -> None:
    """Parse the command line and run main on the flags that were given.

    A UserError becomes one `error:` line and status 2, and so do an output that is full and a path
    that may not be looked at; a reader of the output who has gone is status 141, Ctrl-C 130.
    """
    warnings.filterwarnings("ignore", module="PIL")  # of EXIF data that pictures can do without
    warnings.formatwarning = lambda text, *_: printable(f"warning: {text}") + "\n"
    _open_closed_streams()
    sys.stdout.reconfigure(errors="replace")  # names may have letters that a terminal lacks
    try:
        try:
            given = parser.given()
            from PIL import Image  # --help need not wait for it

            Image.MAX_IMAGE_PIXELS = _MOST_PIXELS // 2  # more than twice as many are refused
            main(given)
        except SystemExit as ended:
            if ended.code:  # a status of main's own, which stays
                _write_out()
                raise
        sys.stdout.flush()
    except UserError as error:
        _end(2, error)
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        _end(_READER_GONE)
    except OSError as error:  # a path that may not be looked at, an output that is full
        _end(2, UserError(f"{error.filename or 'output'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        _end(130)


def _end(status: int, error: UserError | None = None) -> NoReturn:
    """Exit with a status, after the error's line."""
    _write_out(error)
    if os.environ.get("TF_CONFIG"):  # threads of TensorFlow may wait for other workers forever
        os._exit(status)
    sys.exit(status)


def _write_out(error: UserError | None = None) -> None:
    """Write what was printed, then the error's line; what a stream cannot take is dropped."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if error and stream is sys.stderr:
                print_error(error)
            stream.flush()
        except OSError:  # Python would try again when it exits, and change the status
            to_nowhere(number)


def _open_closed_streams() -> None:
    """Let a process that was started with stdout or stderr closed (`>&-`) write to nowhere."""
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # so that no file that is opened later is taken for one of the three
    os.close(free)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8", errors="replace")  # noqa: SIM115
            setattr(sys, name, nowhere)
