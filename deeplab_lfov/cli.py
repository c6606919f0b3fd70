"""What the scripts share when they run: help, error lines, a quiet TensorFlow, signals, a bar."""

import argparse
import gc
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from deeplab_lfov.errors import UserError


class _Formatter(argparse.HelpFormatter):
    """Shows the default of every flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return f"{action.help} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """An argument parser whose help shows every default and whose errors are UserErrors."""

    def __init__(self, description: str):
        super().__init__(description=description, formatter_class=_Formatter, allow_abbrev=False)

    def error(self, message: str) -> None:
        """Raise UserError where argparse would print its usage and exit."""
        raise UserError(f"{message}; {self.prog} --help explains the flags")


def typed(parser: Parser) -> set[str]:
    """The names of the flags that stand on the command line."""
    unset = object()
    names = vars(parser.parse_args())
    given = vars(parser.parse_args(namespace=argparse.Namespace(**dict.fromkeys(names, unset))))
    return {name for name, value in given.items() if value is not unset}


def run(main: Callable[[argparse.Namespace], None], parser: Parser) -> None:
    """Parse the command line and run main; a UserError becomes one `error:` line and status 2."""
    warnings.filterwarnings("ignore", module="PIL")  # of EXIF data that pictures can do without
    try:
        main(parser.parse_args())
        sys.stdout.flush()
    except UserError as error:
        print_error(error)
        sys.stdout.flush()
        if os.environ.get("TF_CONFIG"):  # threads of TensorFlow may wait for other workers forever
            sys.stderr.flush()
            os._exit(2)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a path that may not be looked at, an output that is full
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def print_error(error: UserError) -> None:
    """Print the one `error:` line of a user's mistake on stderr."""
    print("error: " + " ".join(str(error).split()), file=sys.stderr)


def start_tensorflow(alone: bool = True) -> str:
    """Load TensorFlow without its chatter and return the name of the device it will compute on.

    Of several workers that are not alone, one that has gone is an error of ours to tell.
    TF_CPP_MIN_LOG_LEVEL=0 in the environment brings the chatter back.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on older x86: 4x slower
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if alone else "3")
    with quiet_stderr(), _without_garbage_collection():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if not _is_chatty():
        tf.get_logger().setLevel("ERROR")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {os.cpu_count()} cores"


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Spare the collector an import's objects, which stay: it would look at each, many times."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what the process writes to stderr, C++ included; show it if the block fails."""
    sys.stderr.flush()
    stderr, release = os.dup(2), _is_chatty()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except BaseException:
            release = True
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            if release:
                os.write(2, held.read())


def _is_chatty() -> bool:
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered, in `signal`; a second one ends at once."""

    signal: int | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.signal:
            raise SystemExit(128 + number)
        self.signal = number


def progress(
    items: Iterable,
    total: int | None,
    unit: str,
    first: int = 0,
    keep: bool = True,
    show: bool = True,
) -> tqdm:
    """A bar on stderr with rate and time left; in a log file a line a minute, not ten a second."""
    every = {"mininterval": 0.1 if sys.stderr.isatty() else 60}
    look = {"initial": first, "unit": f" {unit}", "leave": keep, "disable": not show}
    return tqdm(items, total=total, **look, **every)
