"""The reader of Keras' VGG16 weights: files in either of Keras' two layouts, or Keras' copy.

Nothing is read that lies in other files, which HDF5 can refer to by links and by datasets.
"""

import io
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.foreign import Pairs

_MOST_RATIO = 1000  # of what a dataset is to what is stored of it; gzip packs no tighter


def read_h5(path: Path) -> Pairs:
    """Yield the weights of a network by name, in its order where the file has one.

    Known are the layout of Keras 1 and 2 (`layer_names`, also inside a saved model), and that of
    Keras 3 (`layers/conv2d_5/vars/0`, in no order), also in a `.keras` archive. Raises ValueError
    for what is in other files.
    """
    source = path
    if zipfile.is_zipfile(path):
        source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
    with h5py.File(source) as file:
        if name := file.visititems_links(_external):  # the first that is not None
            raise ValueError(f"{name} is a link to another file")
        root = file.get("model_weights", file)
        # keras-hub's network has the names of Keras' own, and was trained on other images.
        config = _text(file.attrs.get("model_config", ""))
        owner = re.match(r'(?:{"class_name": "(?!Functional|Model|Sequential)(\w+)")?', config)[1]
        for layer in map(_text, root.attrs.get("layer_names", ())):
            names = [_text(name) for name in root[layer].attrs["weight_names"]]
            nested = len({name.rpartition("/")[0] for name in names}) > 1
            for name in names:
                part = name if nested else name.rpartition("/")[2].removeprefix(f"{layer}_")
                part = re.sub(r"(_\d+)?(:0)?$", "", part)
                yield "/".join(filter(None, (owner, layer, part))), _read(root[layer][name])
        if "layer_names" not in root.attrs:
            found = []
            root.visit_links(found.append)
            for name in found:
                if re.search(r"(^|/)vars/\d+$", name) and not name.startswith("optimizer/"):
                    yield name.replace("/vars/", "/"), _read(root[name])


def download() -> dict[str, np.ndarray]:
    """Return the tensors by name of the VGG16 with top that Keras downloads or has cached.

    Raises UserError where the download fails.
    """
    import keras

    try:
        network = keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras wraps every failure of its download in a bare Exception
        raise UserError(f"Keras could not download VGG16: {error}") from error
    named = [(layer.name, layer.get_weights()) for layer in network.layers]
    return {f"{name}/{part}": array for name, pair in named for part, array in enumerate(pair)}


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
