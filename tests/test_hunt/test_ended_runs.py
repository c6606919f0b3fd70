"""train.py killed in every phase, and starved of disk: it goes on to the undisturbed run's end."""

import csv
import random
import signal
import subprocess
import sys
import time

import pytest

from deeplab_lfov.weights.formats import read_tensors
from helpers import ROOT, TRAIN, VAL, hunted

FLAGS = ["--width", 1 / 64, "--input_size", "33,33", "--batch_size", 2, "--learning_rate", 1e-3]
FLAGS += ["--num_steps", 30, "--save_pred_every", 5, "--val_list", VAL, "--val_every", 10]
FLAGS += ["--deterministic", "--random_mirror"]

DRIVER = """
import os, random, resource, signal, sys, threading
where, calls, seconds, room = sys.argv.pop(1), *(float(sys.argv.pop(1)) for _ in range(3))
import train
from deeplab_lfov import startup
from deeplab_lfov.cli import command
startup.start_tensorflow()
from deeplab_lfov.training import record, snapshots, trainer
def end():
    if not room:
        os.kill(os.getpid(), signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))
if where == "starting":
    threading.Timer(seconds * 20, end).start()
elif where:
    place, name = {"saving": (snapshots.Snapshots, "_save"), "drawing": (record, "save_rows"),
                   "validating": (record.Record, "validate")}[where]
    work, done = getattr(place, name), []
    def cut(*arguments, **options):
        done.append(1)
        if len(done) == calls:
            threading.Timer(seconds, end).start()
        return work(*arguments, **options)
    setattr(place, name, cut)
command.run(train.main, train.parser())
"""


def run(flags, where="", calls=0, seconds=0.0, room=0):
    """Train, and at the calls-th time at a place end the process, or the room of its files."""
    driver = [sys.executable, "-c", DRIVER, where, calls, seconds, room]
    return subprocess.run(
        [*map(str, [*driver, *flags])], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def flags(shapes):
    return ["--data_dir", shapes, "--data_list", TRAIN, *FLAGS]


@pytest.fixture(scope="module")
def whole(flags, tmp_path_factory):
    """The folder of the undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run([*flags, "--snapshot_dir", folder])
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_end(one, two):
    """Compare names of files, the history without its speeds, and all tensors, bit by bit."""
    names, rows = [], []
    for run in (one, two):
        paths = run.rglob("*")
        names.append({path.relative_to(run) for path in paths if "events." not in path.name})
        table = csv.DictReader((run / "history.csv").read_text().splitlines())
        rows.append([{**row, "images_per_second": "", "time": ""} for row in table])
    assert names[0] == names[1] and rows[0] == rows[1]
    for name in ("model.ckpt-30", "model.ckpt-20", "model.ckpt-best"):
        before, after = (read_tensors(run / name) for run in (one, two))
        assert set(before) == set(after)
        for key, tensor in before.items():
            if key != "settings":
                assert tensor.tobytes() == after[key].tobytes() or tensor.dtype == object, key
    for figure in (one / "images").iterdir():
        assert figure.read_bytes() == (two / "images" / figure.name).read_bytes()


def into(folder):
    """Flags that resume the run in a folder if it has a checkpoint, and else start it again."""
    more = ["--resume"] if list(folder.glob("model.ckpt-[0-9]*.index")) else []
    return ["--snapshot_dir", folder, *more]


def go_on(flags, whole, folder, what):
    """Go on to the end, which has to be that of the whole run."""
    done = run([*flags, *into(folder)])
    assert done.returncode == 0, done.stderr
    assert_same_end(whole, folder)
    hunted(what, "same end")


@pytest.mark.hunt
@pytest.mark.parametrize("where", ["starting", "saving", "validating", "drawing"])
def test_killed_runs_end_as_the_undisturbed_run(
    flags, whole, tmp_path, where, hunt_minutes, hunt_seed
):
    rng, until = random.Random(f"{hunt_seed} {where}"), time.monotonic() + 60 * hunt_minutes / 12
    number = 0
    while time.monotonic() < until:
        folder, number = tmp_path / f"run{number}", number + 1
        for _ in range(rng.randint(1, 2)):
            place = rng.randint(1, 7 if where == "saving" else 3), rng.uniform(0, 0.06)
            done = run([*flags, *into(folder)], where, *place)
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            hunted(f"kills while {where}", "killed" if done.returncode else "ended before")
        go_on(flags, whole, folder, f"kills while {where}")


@pytest.mark.hunt
def test_full_disks_end_in_one_line_and_lose_nothing(
    flags, whole, tmp_path, hunt_minutes, hunt_seed
):
    rng, until = random.Random(hunt_seed), time.monotonic() + 60 * hunt_minutes / 6
    number = 0
    while time.monotonic() < until:
        folder, number = tmp_path / f"run{number}", number + 1
        where = rng.choice(["starting", "saving", "validating", "drawing"])
        least = 16 if where == "starting" else 7  # TensorFlow's code for the first step needs some
        place = rng.randint(1, 3), rng.uniform(0, 0.06), int(2 ** rng.uniform(least, 20))
        done = run([*flags, *into(folder)], where, *place)
        assert done.returncode in (0, 2), (where, place, done.stderr)
        errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        assert len(errors) == bool(done.returncode) and "Traceback" not in done.stderr, done.stderr
        hunted(f"disks full while {where}", "one line" if done.returncode else "fitted")
        go_on(flags, whole, folder, f"disks full while {where}")
