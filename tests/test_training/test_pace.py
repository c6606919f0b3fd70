"""How fast a run goes, by a clock of the test's own."""

from datetime import datetime

import pytest

from deeplab_lfov.training.pace import Pace

NOON = datetime(2026, 1, 31, 12)


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()


def test_only_the_last_steps_count_and_neither_pauses_nor_the_first(clock):
    pace = Pace(clock)
    assert pace.left(10, NOON) == ""
    for seconds in (30, *[9] * 50, *[2] * 50):
        clock.now += seconds
        pace.step()
        with pace.paused():
            clock.now += 500
    assert pace.rate == 0.5


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (45, "0:01:30 left"),
        (3600, "2:00:00 left, until 14:00"),
        (86400, "2 days, 0:00:00 left, until 12:00 on 2 Feb"),
    ],
)
def test_long_runs_say_when_they_end(clock, steps, words):
    pace = Pace(clock)
    for _ in range(3):
        clock.now += 2
        pace.step()
    assert pace.left(steps, NOON) == words
