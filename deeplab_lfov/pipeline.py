"""Two stages at once: while one picture is being finished, the next one is begun."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


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
