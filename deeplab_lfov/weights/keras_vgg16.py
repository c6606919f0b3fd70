"""The reader of Keras' VGG16 weights: files in either of Keras' two layouts, or Keras' copy."""

from pathlib import Path

import h5py
import keras
import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.hdf5 import Datasets, check_heaps, has, names_in, names_of, open_in

Layers = dict[str, list[np.ndarray]]


def read_h5(path: str | Path) -> Layers:
    """Read [kernel, bias] by layer name, in the network's order, of a VGG16 with or without top.

    Known are the layout of Keras 1 and 2 (`layer_names`, also inside a saved model) and that of
    Keras 3 (`layers/conv2d_5/vars/0`). Raises UserError for a damaged file, other contents, and
    what is in other files.
    """
    try:
        check_heaps(path)
        with h5py.File(path) as file:
            datasets = Datasets(path)
            root = open_in(file, "model_weights") if has(file, "model_weights") else file
            if "layer_names" in root.attrs:
                return _named(root, datasets)
            return _numbered(open_in(root, "layers"), datasets)
    # h5py reports damage by whatever the HDF5 library stumbled over, and nothing of ours runs here.
    except Exception as error:
        raise UserError(f"{path} is damaged or holds no weights of Keras: {error}") from error


def download() -> Layers:
    """Return [kernel, bias] by layer name of the VGG16 with top that Keras downloads or has cached.

    Raises UserError where the download fails.
    """
    try:
        network = keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras wraps every failure of its download in a bare Exception
        raise UserError(f"Keras could not download VGG16: {error}") from error
    return {layer.name: layer.get_weights() for layer in network.layers if layer.get_weights()}


def _named(root: h5py.Group, datasets: Datasets) -> Layers:
    layers = {}
    for name in names_of(root, "layer_names"):
        layer = open_in(root, name)
        weights = names_of(layer, "weight_names")
        if weights and name in layers:
            raise ValueError(f"it names the layer {name} twice")
        if weights:
            layers[name] = [datasets.read(open_in(layer, weight)) for weight in weights]
    return layers


def _numbered(layers: h5py.Group, datasets: Datasets) -> Layers:
    """Read the layers conv2d, conv2d_1, ..., dense, dense_1, ... in the network's order."""
    found = {}
    for name in sorted(names_in(layers), key=_kind_and_number):
        layer = open_in(layers, name)
        weights = open_in(layer, "vars") if has(layer, "vars") else {}
        if len(weights):
            keys = sorted(names_in(weights))
            found[name] = [datasets.read(open_in(weights, key)) for key in keys]
    return found


def _kind_and_number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdecimal() else (name, 0)
