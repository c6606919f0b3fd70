import threading

import pytest

from deeplab_lfov.pipeline import AHEAD, ahead, one_behind


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


def test_ahead_keeps_the_order_and_stops_a_few_items_ahead():
    done = []
    results = ahead(lambda item: done.append(item) or item * 10, range(100))
    assert [next(results), next(results)] == [0, 10]
    results.close()
    assert done == list(range(len(done))) and len(done) <= AHEAD + 2
    assert list(ahead(str, range(3))) == ["0", "1", "2"]


def test_ahead_raises_at_the_items_turn():
    results = ahead(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
