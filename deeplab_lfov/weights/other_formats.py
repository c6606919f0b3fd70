"""The formats of weights but TensorFlow's V2: which one a file has, and what reads it."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import from_caffe, is_vgg16
from deeplab_lfov.weights.eight_bits import unpack
from deeplab_lfov.weights.no_weights import check_known
from deeplab_lfov.weights.npz import members_of, read_npz
from deeplab_lfov.weights.py2_pickle import read_pickle
from deeplab_lfov.weights.safetensors_file import is_safetensors, read_safetensors
from deeplab_lfov.weights.torch_file import STREAM, read_torch
from deeplab_lfov.weights.torch_layouts import layers_of, state_dict_of

Tensors = dict[str, np.ndarray]  # as in `formats`, which loads this module when it has to

_TABLE_END = bytes.fromhex("57fb808b247547db")  # of a V1 checkpoint
_BEGINNINGS = {
    b"PK\x03\x04": "zip",
    b"\x89HDF": "HDF5",
    STREAM[:8]: "PyTorch",
    **{bytes([0x80, protocol]): "pickle" for protocol in (2, 3, 4, 5)},
}


def kind_of_content(path: Path) -> str:
    """Tell the kind of a file: checkpoint for a V1's, or one of READERS; raises UserError."""
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


def _read_npz(path: Path) -> Tensors:
    return unpack(read_npz(path))


def _refuse_hdf5(path: Path) -> Tensors:
    raise UserError(f"{path} is an HDF5 file, perhaps of Keras; {_CONVERT}")


_CONVERT = "util/extract_params.py turns VGG-16 weights into a checkpoint to train from"
READERS = {
    "npz": _read_npz,
    "pickle": read_pickle,
    "Caffe": _read_caffe,
    "HDF5": _refuse_hdf5,
    "PyTorch": _read_torch,
    "safetensors": _read_safetensors,
}
