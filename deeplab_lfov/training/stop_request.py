"""SIGINT and SIGTERM as requests to stop after the step, from any of the workers."""

import signal
from collections.abc import Iterable

import numpy as np

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered, in `signal`; a second one ends at once."""

    signal: int | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def as_counts(self) -> np.ndarray:
        """Count each of SIGNALS, int64 [2], so that workers can add theirs up."""
        return np.array([self.signal == number for number in SIGNALS], np.int64)

    def _note(self, number: int, _: object) -> None:
        if self.signal:
            raise SystemExit(128 + number)
        self.signal = number


def first_signal(counts: Iterable[int]) -> int | None:
    """Return the first of SIGNALS whose count, added up over the workers, is not 0."""
    return next((each for each, count in zip(SIGNALS, counts, strict=True) if count), None)
