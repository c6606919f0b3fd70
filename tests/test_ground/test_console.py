"""What a person sees on stderr while TensorFlow's C++ writes to it."""

import os
import sys

import pytest

from deeplab_lfov.console import lasting_output, quiet_stderr
from deeplab_lfov.errors import UserError

CHATTER = b"I0000 00:00:1 server.cc:1] Started\n"


def test_what_cpp_writes_is_held_back(capfd):
    with quiet_stderr():
        os.write(2, CHATTER)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize(("error", "shown"), [(UserError, b""), (ZeroDivisionError, CHATTER)])
def test_only_a_fault_of_the_program_shows_what_was_held_back(capfd, error, shown):
    with pytest.raises(error), quiet_stderr():
        os.write(2, CHATTER)
        raise error("what, where")
    assert capfd.readouterr().err == shown.decode()


def test_those_who_ask_for_chatter_see_it_when_it_is_written(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet_stderr():
        os.write(2, CHATTER)
        assert capfd.readouterr().err == CHATTER.decode()


def test_a_process_without_stderr_is_none_to_quieten(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with quiet_stderr():
        pass


def test_output_that_nobody_takes_is_lost_and_nothing_else(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output() as lost:
            for _ in range(3):
                print("a", flush=True)
        print("b", flush=True)
    assert lost == ["output lost: Broken pipe"]
