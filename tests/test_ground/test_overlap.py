import os
import threading

import pytest

from deeplab_lfov.overlap import AHEAD, ahead, num_processors, overlapped


def results(*arguments):
    return [outcome.result() for outcome in overlapped(*arguments)]


def test_results_come_in_order():
    assert results(range(5), lambda n: n + 1, lambda n, begun: (n, begun * begun)) == [
        (n, (n + 1) ** 2) for n in range(5)
    ]
    assert results([], str, max) == []


def test_an_item_is_finished_while_the_next_is_begun():
    """The first can only be finished once the second has been begun."""
    second_begun = threading.Event()

    def begin(item):
        if item == 2:
            second_begun.set()
        return item

    assert results([1, 2], begin, lambda *_: second_begun.wait(timeout=60)) == [True, True]


@pytest.mark.parametrize("fails", ["begin", "finish"])
def test_what_goes_wrong_is_raised_at_its_items_turn_and_the_rest_is_done(fails):
    def begin(item):
        return 1 // item if fails == "begin" else item

    def finish(item, begun):
        return 1 // item if fails == "finish" else begun

    one, two, three = overlapped([1, 0, 1], begin, finish)
    assert one.result() == three.result() == 1
    with pytest.raises(ZeroDivisionError):
        two.result()


def test_what_the_items_raise_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(overlapped((1 // n for n in (1, 0)), str, max))


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


def test_the_processors_are_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert num_processors() == 2
