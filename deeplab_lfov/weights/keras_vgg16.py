"""The reader of Keras' VGG16 weights: files in either of Keras' two layouts, or Keras' copy.

Nothing is read that lies in other files, which HDF5 can refer to by links and by datasets.
"""

from pathlib import Path

import h5py
import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.conversion import Blobs
from deeplab_lfov.weights.foreign import Pairs

_MOST_RATIO = 1000  # of what a dataset is to what is stored of it; gzip packs no tighter


def read_h5(path: Path) -> Pairs:
    """Yield the layer of each kernel and bias, in the network's order, with or without top.

    Known are the layout of Keras 1 and 2 (`layer_names`, also inside a saved model) and that of
    Keras 3 (`layers/conv2d_5/vars/0`). Raises ValueError for other contents, and for what is in
    other files.
    """
    with h5py.File(path) as file:
        if name := file.visititems_links(_external):  # the first that is not None
            raise ValueError(f"{name} is a link to another file")
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            for name in map(_text, root.attrs["layer_names"]):
                for each in root[name].attrs["weight_names"]:
                    yield name, _read(root[name][_text(each)])
        else:
            for name in sorted(root["layers"], key=_kind_and_number):
                variables = root["layers"][name].get("vars", {})
                for key in sorted(variables):
                    yield name, _read(variables[key])


def download() -> Blobs:
    """Return [kernel, bias] by layer name of the VGG16 with top that Keras downloads or has cached.

    Raises UserError where the download fails.
    """
    import keras

    try:
        network = keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras wraps every failure of its download in a bare Exception
        raise UserError(f"Keras could not download VGG16: {error}") from error
    return {layer.name: layer.get_weights() for layer in network.layers if layer.get_weights()}


def _external(name: str, link: object) -> str | None:
    return name if isinstance(link, h5py.ExternalLink) else None


def _read(dataset: h5py.Dataset) -> np.ndarray:
    created = dataset.id.get_create_plist()
    # Before anything else is asked: the size of a virtual dataset may depend on other files.
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise ValueError(f"{dataset.name} is stored in another file")
    if dataset.nbytes > _MOST_RATIO * dataset.id.get_storage_size():
        raise ValueError(f"{dataset.name} is said to be larger than what is there")
    return dataset[()]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _kind_and_number(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdecimal() else (name, 0)
