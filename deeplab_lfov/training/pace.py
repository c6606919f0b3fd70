"""How fast training goes, and how long it still takes."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

_STEPS = 50  # that the rate is a mean of


class Pace:
    """The rate of the last steps, but the first, which makes the graph, and pauses such as saving.

    clock: seconds from any moment on.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock, self._steps = clock, 0
        self._since, self._seconds = clock(), deque(maxlen=_STEPS)

    def step(self) -> None:
        """Note that a step has ended."""
        now = self._clock()
        if self._steps:
            self._seconds.append(now - self._since)
        self._since, self._steps = now, self._steps + 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is done inside."""
        start = self._clock()
        try:
            yield
        finally:
            self._since += self._clock() - start

    @property
    def rate(self) -> float:
        """Steps per second; nan before the second step."""
        return len(self._seconds) / sum(self._seconds) if self._seconds else float("nan")

    def left(self, steps: int) -> str:
        """Say how long so many steps take; '' if nobody knows yet."""
        return str(timedelta(seconds=round(steps / self.rate))) if self._seconds else ""
