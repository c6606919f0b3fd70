"""What the scripts' command lines share: flag types, error lines, a quiet TensorFlow, a bar."""

import argparse
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


def add_flag(group: argparse._ArgumentGroup, name: str, default: bool, help: str) -> None:
    """Add the pair --name and --no-name to a parser or a group of its flags."""
    group.add_argument(
        f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=help
    )


def add_list_flags(group: argparse._ArgumentGroup, data_list: str) -> None:
    """Add --data_dir and --data_list, which is `data_list` by default."""
    group.add_argument(
        "--data_dir", type=PATH, default=".", help="folder that the list's lines start from"
    )
    group.add_argument(
        "--data_list",
        type=PATH,
        default=data_list,
        help="lines '/image.jpg /mask.png' or VOC ids; looked for as named, then in data_dir",
    )


def add_label_flags(group: argparse._ArgumentGroup) -> None:
    """Add what says how masks hold labels: --ignore_label, --palette and --class_names."""
    group.add_argument(
        "--ignore_label", type=LABEL, default=255, help="value of the masks' void pixels"
    )
    group.add_argument(
        "--palette",
        type=PATH,
        help="file with a class and its colour in each line: road 128 64 128",
    )
    group.add_argument("--class_names", type=PATH, help="file that names a class in each line")


def checked(kind: Callable[[str], object], accepts: Callable, what: str) -> Callable[[str], object]:
    """A flag type: `kind` of the text where `accepts` says so, else an error that names `what`."""

    def parse(text: str) -> object:
        try:
            value = kind(text)
            if accepts(value):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")

    return parse


def _pair(kind: Callable[[str], object]) -> Callable[[str], tuple]:
    return lambda text: tuple(kind(part) for part in text.split(","))


COUNT = checked(int, lambda n: 1 <= n < 2**31, "a whole number from 1 to 2147483647")
PATH = checked(str, bool, "a path: it is empty")
SEED = checked(int, lambda n: 0 <= n < 2**31, "a whole number from 0 to 2147483647")
NUM_CLASSES = checked(int, lambda n: 1 <= n <= 256, "a number of classes from 1 to 256")
LABEL = checked(int, lambda n: 0 <= n <= 255, "a label from 0 to 255")
RATE = checked(float, lambda x: 0 < x < float("inf"), "a number above 0")
WIDTH = checked(float, lambda x: 0 < x <= 8 and x * 64 % 1 == 0, "a multiple of 1/64 up to 8")
NOT_NEGATIVE = checked(float, lambda x: 0 <= x < float("inf"), "a number from 0")
DROPOUT = checked(float, lambda x: 0 <= x < 1, "a share from 0 to below 1")
SIZE = checked(
    _pair(int),
    lambda p: len(p) == 2 and min(p) >= 1,
    "a height and width in pixels such as 321,321",
)
SCALE_RANGE = checked(
    _pair(float),
    lambda p: len(p) == 2 and 0 < p[0] <= p[1] < float("inf"),
    "a smallest and largest scale such as 0.75,1.25",
)


def run(main: Callable[[argparse.Namespace], None], parser: Parser) -> None:
    """Parse the command line and run main; a UserError becomes one `error:` line and status 2."""
    warnings.filterwarnings("ignore", module="PIL")  # of EXIF data that pictures can do without
    try:
        main(parser.parse_args())
        sys.stdout.flush()
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # a path that may not be looked at, an output that is full
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def start_tensorflow() -> str:
    """Load TensorFlow without its chatter and return the name of the device it will compute on.

    TF_CPP_MIN_LOG_LEVEL=0 in the environment brings the chatter back.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on older x86: 4x slower
    chatty = os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _stderr_held_back(release=chatty):
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if not chatty:
        tf.get_logger().setLevel("ERROR")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"CPU, {os.cpu_count()} cores"


@contextmanager
def _stderr_held_back(release: bool) -> Iterator[None]:
    """Keep what the process writes to stderr, C++ included; show it if the block fails."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
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
    items: Iterable, total: int | None, unit: str, first: int = 0, keep: bool = True
) -> tqdm:
    """A bar on stderr with rate and time left; in a log file a line a minute, not ten a second."""
    every = 0.1 if sys.stderr.isatty() else 60
    return tqdm(items, total=total, initial=first, unit=f" {unit}", mininterval=every, leave=keep)
