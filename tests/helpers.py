"""What tests of several folders share: places, the reference network's width, and comparisons."""

import collections
import contextlib
import json
import os
import socket
from pathlib import Path

import numpy as np

from deeplab_lfov.network.large_fov import PreparedLargeFOV
from deeplab_lfov.training.history import History
from deeplab_lfov.training.settings import decisive
from deeplab_lfov.weights.formats import read_tensors

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[1]
NARROW = 1 / 16
TRAIN = "ImageSets/Segmentation/train.txt"
VAL = "ImageSets/Segmentation/val.txt"


COUNTS = collections.defaultdict(collections.Counter)
"""What became of the cases of a hunt, by class; printed when it ends."""


def hunted(what, outcome):
    """Count a case of a class for the table of the hunt."""
    COUNTS[what][outcome] += 1


def assert_same_run(one, two):
    """Compare the folders of two runs: weights, slots and losses to 1e-5, settings exactly."""
    losses = [
        [row["loss"] for row in History(run, 10**6).rows if "loss" in row] for run in (one, two)
    ]
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-5)
    one, two = map(read_tensors, (one, two))
    assert set(one) == set(two) and one["global_step"] == two["global_step"]
    for name, tensor in one.items():
        if tensor.dtype == np.float32:
            np.testing.assert_allclose(two[name], tensor, rtol=0, atol=1e-5, err_msg=name)
    settings = [json.loads(tensors["settings"].item()) for tensors in (one, two)]
    assert decisive(settings[0]) == decisive(settings[1])
    assert "devices" not in settings[1]


def free_addresses(count):
    """Find so many addresses 127.0.0.1:port at which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)


def prepared_from(model):
    """Prepare a model's parameters for inference, as those of a file are."""
    arrays = {name: variable.numpy() for name, variable in model.parameters.items()}
    return PreparedLargeFOV(arrays, model.num_classes, model.width, model.precision)


def keras_vgg16_network(top):
    """Make Keras' VGG16, 1/16 wide, with top (of other sizes) or without."""
    import keras

    layers = [keras.Input((224, 224, 3))]
    for position, channels in enumerate((4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32)):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", name=f"conv{position:02}"))
        if position in (1, 3, 6, 9, 12):
            layers.append(keras.layers.MaxPooling2D())
    if top:
        layers.append(keras.layers.Flatten())
        layers += [keras.layers.Dense(size) for size in (256, 256, 10)]
    return keras.Sequential(layers)


def rows_of_line(picture, color):
    """Find a plotted line: for each column of a picture with pixels of that color, the mean row."""
    pixels = np.asarray(picture.convert("RGB"))
    rows, columns = np.nonzero((np.abs(pixels.astype(int) - color) < 12).all(axis=-1))
    return {int(column): rows[columns == column].mean() for column in np.unique(columns)}


BLUE, ORANGE = (31, 119, 180), (255, 127, 14)  # Matplotlib's tab:blue and tab:orange


def environment_with_package(**changes):
    """Return the environment, changed, for scripts that lie elsewhere than the package."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | changes
