import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from deeplab_lfov.training.stop_request import StopRequest, first_signal


def test_a_terminal_that_closes_asks_once_and_a_second_sigterm_ends_at_once():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert first_signal(stop.as_counts()) == signal.SIGHUP
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert first_signal(stop.as_counts()) == signal.SIGTERM
        with pytest.raises(SystemExit, match="143"):
            signal.raise_signal(signal.SIGTERM)


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
    assert stop.signal is None and signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


def test_another_thread_than_the_main_one_trains_without_signals():
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(StopRequest().__enter__).result().signal is None
