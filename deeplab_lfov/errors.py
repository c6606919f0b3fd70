"""The one exception that means: the user can put this right."""

from collections.abc import Sequence


class UserError(Exception):
    """A mistake in a flag, a file or a data set; its text says what, where and what to do.

    The scripts print it as one `error:` line and exit with status 2. Everything else that is
    raised is a fault of the program and keeps its traceback.
    """


def few(things: Sequence, most: int = 3) -> str:
    """The first things of many, for a message: `a, b, c and 7 more`."""
    rest = f" and {len(things) - most} more" if len(things) > most else ""
    return ", ".join(map(str, things[:most])) + rest
