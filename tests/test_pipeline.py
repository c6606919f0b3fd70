import threading

import pytest

from deeplab_lfov.pipeline import one_behind


def test_results_come_in_order():
    assert list(one_behind(lambda n=n: n * n for n in range(5))) == [0, 1, 4, 9, 16]
    assert list(one_behind([])) == []


def test_a_call_runs_while_the_next_is_produced():
    """The first call can only end once the second has been asked for."""
    second_asked_for = threading.Event()

    def calls():
        yield lambda: second_asked_for.wait(timeout=60)
        second_asked_for.set()
        yield lambda: "second"

    assert list(one_behind(calls())) == [True, "second"]


def test_what_a_call_raises_comes_out():
    calls = one_behind([lambda: 1, lambda: 1 / 0])
    assert next(calls) == 1
    with pytest.raises(ZeroDivisionError):
        next(calls)
