"""The process with limits: what goes wrong in it is one line here."""

import io
import json
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

import hostile_readers
from deeplab_lfov import UserError
from deeplab_lfov.weights import foreign
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.pickles import read_torch
from helpers import DATA, ROOT


@pytest.fixture
def file(tmp_path):
    (tmp_path / "x.weights").write_bytes(b"abc")
    return tmp_path / "x.weights"


def test_what_a_reader_yields_arrives(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    found = dict(foreign.read(hostile_readers.tells_of_itself, "x.weights"))
    assert found["path"].tolist() == ["x.weights", str(file.parent)]
    assert found["loaded"].size == 0  # TensorFlow alone would take seconds
    assert found["empty"].shape == (0, 3) and found["number"] == 3
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    assert found["content"].tobytes() == b"abc"


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("asks_for_terabytes", "asks for more memory than a file of its size needs"),
        ("ends_itself", "its reader ended with status -6"),
        ("gives_objects", "an array of object, neither numbers nor text"),
    ],
)
def test_what_goes_wrong_is_one_line(file, reader, words):
    with pytest.raises(UserError, match=rf"x.weights .*{words}") as raised:
        foreign.read(getattr(hostile_readers, reader), file)
    assert "\n" not in str(raised.value)


def test_a_reader_that_waits_is_ended(file, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_SECONDS", 0.5)
    with pytest.raises(UserError, match="x.weights cannot be read: it took more than 0.5 seconds"):
        foreign.read(hostile_readers.waits, file)


def test_modules_that_lie_beside_a_file_are_not_run(file, monkeypatch):
    for name in ("numpy.py", "json.py"):
        (file.parent / name).write_text("raise SystemExit('it ran')")
    monkeypatch.chdir(file.parent)
    assert dict(foreign.read(hostile_readers.tells_of_itself, file.name))


def test_readers_do_not_load_tensorflow():
    readers = "caffemodel, pickles, plain_arrays, keras_vgg16"
    code = f"import sys; from deeplab_lfov.weights import {readers}\n"
    command = [sys.executable, "-c", code + "print('tensorflow' in sys.modules)"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert printed.stdout == "False\n"


CODE = """
import sys
sys.path.insert(0, {root!r})
from deeplab_lfov.weights import foreign
from deeplab_lfov.weights.caffemodel import read_caffemodel
print(len(foreign.read(read_caffemodel, {path!r})))
"""


@pytest.mark.parametrize("how", ["script", "standard input"])
def test_programs_need_no_main_guard_and_find_the_package_as_they_like(tmp_path, how):
    code = CODE.format(root=str(ROOT), path=str(DATA / "caffe_narrow.caffemodel"))
    (tmp_path / "program.py").write_text(code)
    command = [sys.executable, "program.py" if how == "script" else "-"]
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    printed = subprocess.run(
        command, cwd=tmp_path, env=environment, input=code, capture_output=True, text=True
    )
    assert printed.stdout == "32\n", printed.stderr


def test_a_worker_of_a_pool_reads_too():
    path = DATA / "torch_vgg16.pth"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        names = [name for name, _ in pool.apply(foreign.read, (read_torch, path))]
    assert names == [name for name, _ in read_torch(path)]


@pytest.mark.parametrize(
    ("dtype", "shape"), [("|O", [1]), ("<f8", [1 << 50]), ("<f8", [-1]), ("<f8", [2])]
)
def test_what_is_received_is_checked(dtype, shape):
    """The process may do what a file wants by now: send objects, or sizes without numbers."""
    line = json.dumps({"name": "a", "dtype": dtype, "shape": shape})
    with pytest.raises((ValueError, EOFError)):
        list(foreign._received(io.BytesIO(line.encode() + b"\n" + bytes(8)), most=1000))


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "net.caffemodel"
    path.write_bytes((DATA / "caffe_narrow.caffemodel").read_bytes()[:-100])
    for read in (read_tensors, lambda path: foreign.read(read_caffemodel, path)):
        with pytest.raises(UserError, match="net.caffemodel is damaged or of another kind"):
            read(path)
