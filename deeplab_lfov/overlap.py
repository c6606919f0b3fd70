"""Work side by side: while one thing is being finished, the next is begun."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Begun = TypeVar("Begun")
Result = TypeVar("Result")

AHEAD = 4  # results of each thread that wait to be taken


def num_processors() -> int:
    """Count the processors that this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # which macOS lacks
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], num_threads: int = 1
) -> Iterator[Result]:
    """Yield function(item) of each item, in order, while threads work some of them ahead.

    What a call raises is raised here, at its item's turn.
    """
    with ThreadPoolExecutor(max_workers=num_threads) as threads:
        running: deque[Future] = deque()
        try:
            for item in items:
                running.append(threads.submit(function, item))
                if len(running) > AHEAD * num_threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def overlapped(
    items: Iterable[Item], begin: Callable[[Item], Begun], finish: Callable[[Item, Begun], Result]
) -> Iterator[Future]:
    """Finish each item in a thread, one at a time, while the next is begun in this one.

    Yields for each item, in order, a future whose result is finish(item, begin(item)), or which
    raises what one of the two has raised. What `items` raises is raised here.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = None
        for item in items:
            try:
                begun = thread.submit(finish, item, begin(item))
            except Exception as error:  # raised where the result is asked for
                begun = Future()
                begun.set_exception(error)
            if running:
                yield running
            running = begun
        if running:
            yield running
