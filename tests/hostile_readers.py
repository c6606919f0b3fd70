"""Readers that go wrong, for the process with limits; it imports this module by its name."""

import os
import sys
import threading
from pathlib import Path

import numpy as np


def waits(path):
    """Wait for what never comes."""
    threading.Event().wait()
    yield "a", np.zeros(3)


def asks_for_terabytes(path):
    """Ask for more memory than any machine has."""
    yield "a", np.zeros(1 << 45, np.uint8)


def ends_itself(path):
    """End the process after a first array, as a crash does."""
    yield "a", np.zeros(3)
    os.abort()


def gives_objects(path):
    """Yield an array that would have to be pickled."""
    yield "a", np.array([{}])


def tells_of_itself(path):
    """Yield the arguments and TensorFlow's absence, which are what a test looks at."""
    yield "path", np.array([str(path), str(Path.cwd())])
    yield "loaded", np.array(sorted({"tensorflow", "keras", "h5py"} & set(sys.modules)), "U20")
    yield "empty", np.zeros((0, 3))
    yield "number", np.array(3)
    yield "turned", np.arange(6).reshape(2, 3).T
    yield "content", np.frombuffer(Path(path).read_bytes(), np.uint8)
