"""What a person sees of a running program: error lines, progress, and no chatter of TensorFlow."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from deeplab_lfov.errors import UserError, printable, shortened

_MOST_OF_AN_ERROR = 490  # characters, for a line under 500: names in files can be of any length


def print_error(error: UserError) -> None:
    """Print the one `error:` line of a user's mistake on stderr, whatever names it quotes."""
    line = " ".join(printable(str(error)).split())
    print("error: " + shortened(line, _MOST_OF_AN_ERROR), file=sys.stderr)


def progress(
    items: Iterable,
    total: int | None,
    unit: str,
    first: int = 0,
    keep: bool = True,
    show: bool = True,
) -> tqdm:
    """Draw a bar on stderr with rate and time left; in a log file a line a minute."""
    every = {"mininterval": 0.1 if sys.stderr.isatty() else 60}
    look = {"initial": first, "unit": f" {unit}", "leave": keep, "disable": not show}
    return tqdm(items, total=total, **look, **every)


def wants_chatter() -> bool:
    """Tell whether TF_CPP_MIN_LOG_LEVEL in the environment asks for TensorFlow's messages."""
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what the process writes to stderr, C++ included; show it if the block fails."""
    sys.stderr.flush()
    stderr, release = os.dup(2), wants_chatter()
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
