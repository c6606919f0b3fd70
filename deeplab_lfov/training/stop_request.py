"""SIGINT, SIGTERM and SIGHUP as requests to stop after the step, from any of the workers."""

import signal
import threading
from collections.abc import Iterable

import numpy as np

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Notes SIGNALS while it is entered, in `signal`; a second SIGINT or SIGTERM ends at once.

    SIGHUP may come twice when a terminal closes, and stays ignored under nohup. Outside the main
    thread, where Python catches no signals, none is noted.
    """

    signal: int | None = None

    def __enter__(self) -> "StopRequest":
        is_main = threading.current_thread() is threading.main_thread()
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        caught = [n for n in SIGNALS if is_main and not (n == signal.SIGHUP and is_ignored)]
        self._before = {number: signal.signal(number, self._note) for number in caught}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def as_counts(self) -> np.ndarray:
        """Count each of SIGNALS, int64 [3], so that workers can add theirs up."""
        return np.array([self.signal == number for number in SIGNALS], np.int64)

    def _note(self, number: int, _: object) -> None:
        is_told = self.signal not in (None, signal.SIGHUP)
        if is_told and number != signal.SIGHUP:
            raise SystemExit(128 + number)
        self.signal = self.signal if is_told else number


def first_signal(counts: Iterable[int]) -> int | None:
    """Return the first of SIGNALS whose count, added up over the workers, is not 0."""
    return next((each for each, count in zip(SIGNALS, counts, strict=True) if count), None)
