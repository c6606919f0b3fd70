"""How TensorFlow comes into a process: by the commands, and by the package's names."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

import deeplab_lfov
from deeplab_lfov import startup
from helpers import ROOT

NAMES_THEN_COMMAND = """
import importlib.util
import sys
import deeplab_lfov
from deeplab_lfov import CLASS_NAMES, VOID, ConfusionMatrix, DenseCRF, UserError, decode_labels
assert "tensorflow" not in sys.modules
from deeplab_lfov import Predictor
from deeplab_lfov.startup import start_tensorflow
print(start_tensorflow())
import tensorflow as tf
if not importlib.util.find_spec("tf_keras"):
    assert "keras" not in sys.modules
from tensorflow.keras import layers
assert layers.Dense is tf.keras.layers.Dense and layers.Dense.__module__.startswith("keras.")
assert tf.optimizers.SGD.__module__.startswith("keras.")
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


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """Let NVIDIA's driver be installed, or not."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(startup, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(startup.shutil, "which", lambda name: None)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    return tmp_path / "version"


def test_a_driver_without_a_gpu_in_tensorflow_says_what_to_install(driver, monkeypatch):
    assert startup.missing_gpu() == ""
    driver.touch()
    assert "pip install 'tensorflow[and-cuda]>=2.18,<2.22'" in startup.missing_gpu()
    for hidden in ("", "-1", "NoDevFiles"):  # on purpose
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert startup.missing_gpu() == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    driver.unlink()  # as under WSL2, which has nvidia-smi only
    monkeypatch.setattr(startup.shutil, "which", {"nvidia-smi": "/usr/bin/nvidia-smi"}.get)
    assert startup.missing_gpu()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert startup.missing_gpu() == ""


@pytest.mark.parametrize(
    ("given", "autotune", "expected"),
    [
        ({}, True, ["true", None]),
        ({}, False, ["true", "0"]),
        ({"TF_FORCE_GPU_ALLOW_GROWTH": "no", "TF_CUDNN_USE_AUTOTUNE": "1"}, False, ["no", "1"]),
    ],
)
def test_what_the_user_has_set_for_gpus_stays(monkeypatch, given, autotune, expected):
    environment = {"TMPDIR": os.environ.get("TMPDIR", "/tmp"), **given}
    monkeypatch.setattr(startup.os, "environ", environment)
    startup.start_tensorflow(autotune=autotune)
    names = ("TF_FORCE_GPU_ALLOW_GROWTH", "TF_CUDNN_USE_AUTOTUNE")
    assert [environment.get(name) for name in names] == expected
