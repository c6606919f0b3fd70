"""The reader of Keras' VGG16 weights: files in either of Keras' two layouts, or Keras' copy."""

from pathlib import Path

import h5py
import keras
import numpy as np

from deeplab_lfov.errors import UserError

Layers = dict[str, list[np.ndarray]]


def read_h5(path: str | Path) -> Layers:
    """Read [kernel, bias] by layer name, in the network's order, of a VGG16 with or without top.

    Known are the layout of Keras 1 and 2 (`layer_names`, also inside a saved model) and that of
    Keras 3 (`layers/conv2d_5/vars/0`). Raises UserError for a damaged file and other contents.
    """
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            return _named(root) if "layer_names" in root.attrs else _numbered(root["layers"])
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


def _named(root: h5py.Group) -> Layers:
    layers = {}
    for name in root.attrs["layer_names"]:
        name = name.decode() if isinstance(name, bytes) else name
        weights = root[name].attrs["weight_names"]
        if len(weights):
            layers[name] = [_read(root[name][weight]) for weight in weights]
    return layers


def _numbered(layers: h5py.Group) -> Layers:
    """Read the layers conv2d, conv2d_1, ..., dense, dense_1, ... in the network's order."""
    found = {name: layers[name]["vars"] for name in layers if len(layers[name].get("vars", ()))}
    order = sorted(found, key=_kind_and_number)
    return {name: [_read(found[name][key]) for key in sorted(found[name])] for name in order}


def _read(dataset: h5py.Dataset) -> np.ndarray:
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > 1000 * stored:
        raise ValueError(f"{dataset.name} is said to be {dataset.nbytes} bytes; {stored} are there")
    return dataset[()]


def _kind_and_number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdecimal() else (name, 0)
