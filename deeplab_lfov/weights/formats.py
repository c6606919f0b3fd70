"""Weights of every known format as tensors by name, `conv1_1/w` (HWIO) to `fc8_voc12/b`.

A file's format is told by its content, never by its name. What reads other formats is not loaded
for a V2 checkpoint: it takes 20 ms.
"""

import re
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.weights.tf_checkpoint import (
    BEST,
    StoredTensor,
    checkpoints_in,
    has_data,
    index_of,
    is_slot,
    stored_tensors,
)

Tensors = dict[str, np.ndarray]
StoredTensors = dict[str, np.ndarray | StoredTensor]


def read_tensors(path: str | Path) -> Tensors:
    """Read all tensors of a weight file by name.

    Known: TensorFlow checkpoints, V2 and V1; `.npz` with the same names; a LargeFOV `.caffemodel`;
    a LargeFOV of PyTorch (`.pth`, `.safetensors`) with Caffe's names of layers; the first
    TensorFlow version's pickle. Raises UserError for a file that is missing, damaged, or
    of another kind.
    """
    return _read(_stored(path))


def read_weights(path: str | Path) -> Tensors:
    """Read as `read_tensors`, but no optimizer's slots: Adam's are twice the weights."""
    return _read(stored_weights(path))


def stored_weights(path: str | Path) -> StoredTensors:
    """List what `read_weights` reads; a checkpoint's tensors are read one by one when asked for."""
    return {name: tensor for name, tensor in _stored(path).items() if not is_slot(name)}


def _stored(path: str | Path) -> StoredTensors:
    path = locate(path)
    if (kind := format_of(path)) == "checkpoint":
        return stored_tensors(path)
    from deeplab_lfov.weights.other_formats import READERS

    return READERS[kind](path)


def _read(tensors: StoredTensors) -> Tensors:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def origin_of(path: str | Path) -> str:
    """Say which weights a path means; of a folder, why these."""
    found = locate(path)
    why = "its best on the val list" if found.name == BEST else "its newest checkpoint"
    return f"{found}, {why}" if Path(path).is_dir() else str(found)


def format_of(path: Path) -> str:
    """Tell the kind of a file that exists.

    checkpoint, npz, PyTorch, safetensors, HDF5, pickle, or else Caffe. Raises UserError for what is
    known to hold no weights of these.
    """
    if index_of(path).is_file():
        return "checkpoint"
    from deeplab_lfov.weights.other_formats import kind_of_content

    return kind_of_content(path)


def locate(path: str | Path) -> Path:
    """Find the weights that a path means.

    A folder means its `model.ckpt-best`, and without one, or as its file `checkpoint`, its newest
    checkpoint that has its data; a part of one (`.index`, `.data-00000-of-00001`) means the whole.

    Raises UserError when there is nothing; it names the checkpoints beside.
    """
    path = Path(path)
    if index_of(path / BEST).is_file() and has_data(path / BEST):
        return path / BEST
    folder = path.parent if path.name == "checkpoint" else path
    if folder.is_dir():
        if (folder / "saved_model.pb").exists():
            raise UserError(
                f"{folder} is a SavedModel, which was exported; give the checkpoint it was made of"
            )
        found = checkpoints_in(folder)
        if not found:
            raise UserError(f"there is no checkpoint in the folder {folder}")
        return next((each for each in reversed(found) if has_data(each)), found[-1])
    whole = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if index_of(whole).is_file():
        return whole
    if path.name == "net_skeleton.json":
        raise UserError(f"{path} has names and shapes only; take the net_weights.npz beside it")
    if not path.is_file():
        beside = [str(other) for other in reversed(checkpoints_in(path.parent))]
        hint = f"; there are {few(beside)}" if beside else ""
        raise UserError(f"there is no checkpoint {path}{hint}")
    return path
