"""Weights of every known format as tensors by name, `conv1_1/w` (HWIO) to `fc8_voc12/b`.

A file's format is told by its content, never by its name.
"""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import from_caffe, is_vgg16
from deeplab_lfov.weights.npz import members_of, read_npz
from deeplab_lfov.weights.other_files import check_known
from deeplab_lfov.weights.py2_pickle import read_pickle
from deeplab_lfov.weights.safetensors_file import is_safetensors, read_safetensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in, has_data, index_of, read_checkpoint
from deeplab_lfov.weights.torch_file import STREAM, read_torch
from deeplab_lfov.weights.torch_layouts import layers_of, state_dict_of

Tensors = dict[str, np.ndarray]

_TABLE_END = bytes.fromhex("57fb808b247547db")  # of a V1 checkpoint
_BEGINNINGS = {
    b"PK\x03\x04": "zip",
    b"\x89HDF": "HDF5",
    STREAM[:8]: "PyTorch",
    **{bytes([0x80, protocol]): "pickle" for protocol in (2, 3, 4, 5)},
}


def read_tensors(path: str | Path) -> Tensors:
    """Read all tensors of a weight file by name.

    Known: TensorFlow checkpoints, V2 and V1; `.npz` with the same names; a LargeFOV `.caffemodel`;
    a LargeFOV of PyTorch (`.pth`, `.safetensors`) with Caffe's names of layers; the first
    TensorFlow version's pickle. Raises UserError for a file that is missing, damaged, or
    of another kind.
    """
    path = locate(path)
    return _READERS[format_of(path)](path)


def read_weights(path: str | Path) -> Tensors:
    """Read as `read_tensors`, but of a checkpoint no slots: Adam's are twice the weights."""
    path = locate(path)
    kind = format_of(path)
    return read_checkpoint(path, slots=False) if kind == "checkpoint" else _READERS[kind](path)


def format_of(path: Path) -> str:
    """Tell the kind of a file that exists.

    checkpoint, npz, PyTorch, safetensors, HDF5, pickle, or else Caffe. Raises UserError for what is
    known to hold no weights of these.
    """
    if index_of(path).is_file():
        return "checkpoint"
    try:
        with path.open("rb") as file:
            head, size = file.read(64), path.stat().st_size
            file.seek(-min(8, size), 2)
            tail = file.read(8)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if tail == _TABLE_END:
        return "checkpoint"
    if is_safetensors(head, size):
        return "safetensors"
    check_known(head, path)
    kind = next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), "Caffe")
    return _kind_of_zip(path) if kind == "zip" else kind


def _kind_of_zip(path: Path) -> str:
    # zipfile has many errors for damaged files; the reader of .npz makes one of them.
    names: list[str] = []
    with suppress(Exception), members_of(path) as (_, members):
        names = list(members)
    if any(name.endswith("data.pkl") for name in names):
        return "PyTorch"
    if names and not any(name.endswith(".npy") for name in names):
        raise UserError(f"{path} is a zip of other files; unpack it, and give the weights in it")
    return "npz"


def locate(path: str | Path) -> Path:
    """Find the weights that a path means.

    A folder (or its file `checkpoint`) means its newest checkpoint that has its data, a part of one
    (`.index`, `.data-00000-of-00001`) the whole.

    Raises UserError when there is nothing; it names the checkpoints beside.
    """
    path = Path(path)
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


def _read_caffe(path: Path) -> Tensors:
    layers = read_caffemodel(path)
    if is_vgg16(layers):
        raise UserError(f"{path} is a plain VGG-16; {_CONVERT}")
    return {row.name: row.tensor for row in from_caffe(layers, path)}


def _read_torch(path: Path) -> Tensors:
    return _of_state_dict(state_dict_of(read_torch(path), path), path)


def _read_safetensors(path: Path) -> Tensors:
    return _of_state_dict(state_dict_of(read_safetensors(path), path), path)


def _of_state_dict(tensors: Tensors, path: Path) -> Tensors:
    layers = layers_of(tensors, path)
    if "conv1_1.weight" not in tensors or is_vgg16(layers):
        raise UserError(f"{path} has no LargeFOV with Caffe's names in it; {_CONVERT}")
    return {row.name: row.tensor for row in from_caffe(layers, path)}


def _refuse_hdf5(path: Path) -> Tensors:
    raise UserError(f"{path} is an HDF5 file, perhaps of Keras; {_CONVERT}")


_CONVERT = "util/extract_params.py turns VGG-16 weights into a checkpoint to train from"
_READERS = {
    "checkpoint": read_checkpoint,
    "npz": read_npz,
    "pickle": read_pickle,
    "Caffe": _read_caffe,
    "HDF5": _refuse_hdf5,
    "PyTorch": _read_torch,
    "safetensors": _read_safetensors,
}
