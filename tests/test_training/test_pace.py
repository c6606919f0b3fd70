"""How fast a run goes, by a clock of the test's own."""

from deeplab_lfov.training.pace import Pace


def test_only_the_last_steps_count_and_neither_pauses_nor_the_first():
    now = [100.0]
    pace = Pace(lambda: now[0])
    assert pace.left(10) == ""
    for seconds in (30, *[9] * 50, *[2] * 50):
        now[0] += seconds
        pace.step()
        with pace.paused():
            now[0] += 500
    assert pace.rate == 0.5
    assert pace.left(45) == "0:01:30" and pace.left(86400) == "2 days, 0:00:00"
