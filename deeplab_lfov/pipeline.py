"""Stages at once: while one picture is being finished, the next are begun."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Results that wait to be taken."""


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) of each item, in order, while a thread works some of them ahead.

    What a call raises is raised here, at its item's turn.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        running: deque[Future] = deque()
        try:
            for item in items:
                running.append(thread.submit(function, item))
                if len(running) > AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def one_behind(calls: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what the calls return, in order; each runs in a thread while the next is produced.

    One call runs at a time. What a call raises is raised here.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = None
        for call in calls:
            finished, running = running, thread.submit(call)
            if finished:
                yield finished.result()
        if running:
            yield running.result()
