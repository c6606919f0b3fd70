"""Fixtures: the reference parameters, a narrow network, a tiny data set, the scripts as calls."""

import importlib
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from deeplab_lfov.cli.command import run
from deeplab_lfov.startup import start_tensorflow

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # numbers are held to more than GPUs give
start_tensorflow()

from deeplab_lfov.classes import voc_classes  # noqa: E402
from deeplab_lfov.network import arithmetic, engine  # noqa: E402
from deeplab_lfov.network.model import DeepLabLFOVModel  # noqa: E402
from deeplab_lfov.training.snapshots import Snapshots  # noqa: E402
from deeplab_lfov.weights.checkpoints import load_weights  # noqa: E402
from helpers import COUNTS, DATA, NARROW, TRAIN  # noqa: E402
from util import make_shapes  # noqa: E402


def pytest_addoption(parser):
    """Add how long `pytest -m hunt` runs, and the seed of what it tries."""
    parser.addoption("--hunt_minutes", type=float, default=10)
    parser.addoption("--hunt_seed", type=int, default=2)


def pytest_terminal_summary(terminalreporter, config):
    """Print the table of a hunt: how many cases of each class came out how."""
    if config.option.markexpr != "hunt":
        return
    outcomes = sorted({outcome for counts in COUNTS.values() for outcome in counts})
    rows = [
        [what, *map(str, map(COUNTS[what].get, outcomes, [0] * len(outcomes)))] for what in COUNTS
    ]
    terminalreporter.section(f"hunt, seed {config.option.hunt_seed}")
    for what, *numbers in [["", *outcomes], *sorted(rows)]:
        terminalreporter.write_line(f"{what:<28}" + "".join(f"{n:>12}" for n in numbers))


@pytest.fixture
def hunt_minutes(request):
    """How long a hunt goes on."""
    return request.config.option.hunt_minutes


@pytest.fixture
def hunt_seed(request):
    """The seed of a hunt."""
    return request.config.option.hunt_seed


@pytest.fixture(scope="session")
def reference_model():
    """The network of the reference outputs, 1/16 wide, with the reference parameters."""
    model = DeepLabLFOVModel(width=NARROW)
    load_weights(model, DATA / "tf012_narrow_v2.ckpt")
    return model


@pytest.fixture
def wide_enough(monkeypatch):
    """Let Winograd's algorithm pay from 4 channels on, in training from 2."""
    pays = engine.winograd_pays
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: False)

    def scaled(filters, dilation, dtype, training):
        return pays((*filters[:2], filters[2] * 32, filters[3]), dilation, dtype, training)

    monkeypatch.setattr(engine, "winograd_pays", scaled)


@pytest.fixture
def caffe_blobs():
    """Caffe's blobs of the reference network by name, float32 NHWC; `data` is the input."""
    with np.load(DATA / "caffe_narrow_blobs.npz") as blobs:
        return {name: blobs[name].transpose(0, 2, 3, 1) for name in blobs.files}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A drawn data set with 6 train and 3 val pictures; tests must not change it."""
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes.write_data_set(folder, num_train=6, num_val=3, seed=1)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, reference_model):
    """A checkpoint of the reference network."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return Snapshots(folder, reference_model.parameters, voc_classes(21)).save(7)


@pytest.fixture
def script(monkeypatch, capsys):
    """Call a script by name with arguments as a shell would: returns status, out and err."""

    def call(name, *arguments):
        module = importlib.import_module(name)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.setattr(arithmetic, "_chosen", None)  # a command has a process of its own
        capsys.readouterr()
        status = 0
        try:
            run(module.main, module.parser())
        except SystemExit as exit_:
            status = exit_.code
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return call


@pytest.fixture
def said(script):
    """Call a script as `script` does; returns what it prints, or the error it was expected with."""

    def call(name, *arguments, status=0):
        result = script(name, *arguments)
        assert result.status == status, result.err
        return result.err.rpartition("error: ")[2] if status else result.out

    return call


@pytest.fixture
def train(script, shapes, tmp_path):
    """Call train.py on the drawn data with a network of 1/16 width, into the folder `run`."""

    def call(*flags, data_dir=shapes, data_list=TRAIN):
        data = ["--data_dir", data_dir, "--data_list", data_list]
        sizes = ["--width", NARROW, "--input_size", "33,33", "--batch_size", 2]
        return script("train", *data, "--snapshot_dir", tmp_path / "run", *sizes, *flags)

    return call
