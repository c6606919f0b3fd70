"""How TensorFlow comes into a process: by the commands, and by the package's names."""

import os
import subprocess
import sys

import deeplab_lfov
from helpers import ROOT

NAMES_THEN_COMMAND = """
import sys
import deeplab_lfov
from deeplab_lfov import CLASS_NAMES, VOID, ConfusionMatrix, DenseCRF, UserError, decode_labels
assert "tensorflow" not in sys.modules
from deeplab_lfov import Predictor
from deeplab_lfov.startup import start_tensorflow
print(start_tensorflow())
"""


def test_tensorflow_comes_when_it_is_needed_and_without_chatter():
    fresh = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-c", NAMES_THEN_COMMAND]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=fresh)
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 1


def test_a_tensorflow_that_is_there_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    monkeypatch.delitem(vars(deeplab_lfov), "Predictor", raising=False)
    assert deeplab_lfov.Predictor.__name__ == "Predictor"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
