"""Weights of every known format as tensors by name, `conv1_1/w` (HWIO) to `fc8_voc12/b`.

A file's format is told by its content, never by its name. TensorFlow's checkpoints are read by
TensorFlow; the network that comes along by NumPy; all else in a process with limits (`foreign`).
"""

import re
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights import eight_bits, foreign, tf_checkpoint
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer, from_caffe, is_vgg16
from deeplab_lfov.weights.pickles import read_pickle, read_torch
from deeplab_lfov.weights.plain_arrays import read_npz, read_safetensors
from deeplab_lfov.weights.torch_layouts import layers_of

Tensors = dict[str, np.ndarray]
StoredTensors = dict[str, np.ndarray | tf_checkpoint.StoredTensor]

_V1_END = bytes.fromhex("57fb808b247547db")  # of a V1 checkpoint
_READERS = {
    "npz": read_npz,
    "pickle": read_pickle,
    "Caffe": read_caffemodel,
    "PyTorch": read_torch,
    "safetensors": read_safetensors,
}
_BEGINNINGS = {
    rb"(?s:...)\0{5}\{": "safetensors",  # the length of its head, and the head, in JSON
    rb"\x89HDF": "HDF5",
    rb"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46": "PyTorch",  # a stream, as before 1.6
    rb"\x80[\x02-\x05]": "pickle",
}
_NO_WEIGHTS = {
    b"\xff\xd8\xff|\x89PNG|GIF8|BM|RIFF": "is a picture; in inference.py the weights come last",
    b"\x93NUMPY": "is one array of numpy's; give an .npz of all, by the names of layers",
    rb"\x08\x01": "is a saved_model.pb; give the checkpoint that it was made of",
    rb"\x08(?s:.*)(pytorch|onnx)": "is an ONNX file; give the .pth or checkpoint it was made of",
    b"version https://git-lfs": "is a Git LFS pointer; fetch the file itself: git lfs pull",
    b"(?i:<!doctype|<html|<\\?xml)": "is a web page or XML; download the file again",
    b"\x1f\x8b|7z\xbc\xaf": "is packed; unpack it first",
    rb"layer \{|name:": "is a prototxt; give the .caffemodel",
    rb"\Z": "is empty; download or copy it again",
    # Only a .caffemodel may begin with a line feed and go on in letters: with a long name.
    rb"[\t\r -~][\t\n\r -~]*\Z": "is text; if it was downloaded, read what it says",
}
"""What else is given in the place of weights, by how it begins, and what to do."""
_CONVERT = "util/extract_params.py turns VGG-16 weights into a checkpoint to train from"


def read_tensors(path: str | Path) -> Tensors:
    """Read all tensors of a weight file by name; which files are known says docs/weights.md.

    Raises UserError for a file that is missing, damaged, or of another kind.
    """
    return {name: np.asarray(tensor) for name, tensor in _stored(path).items()}


def read_weights(path: str | Path) -> Tensors:
    """Read as `read_tensors`, but no optimizer's slots: Adam's are twice the weights."""
    return {name: np.asarray(tensor) for name, tensor in stored_weights(path).items()}


def stored_weights(path: str | Path) -> StoredTensors:
    """List what `read_weights` reads; a checkpoint's tensors are read one by one when asked for."""
    return {
        name: tensor for name, tensor in _stored(path).items() if not tf_checkpoint.is_slot(name)
    }


def read_foreign(kind: str, path: Path) -> list[tuple[str, np.ndarray]]:
    """Read a file of a kind that `format_of` tells, but a checkpoint: arrays by the names in it."""
    return foreign.read(_READERS[kind], path)


def _stored(path: str | Path) -> StoredTensors:
    path = tf_checkpoint.locate(path)
    kind = format_of(path)
    if kind == "checkpoint":
        return tf_checkpoint.stored_tensors(path)
    if kind == "HDF5":
        raise UserError(f"{path} is an HDF5 file, perhaps of Keras; {_CONVERT}")
    found = list(read_npz(path)) if path == eight_bits.PRETRAINED else read_foreign(kind, path)
    if kind in ("npz", "pickle"):  # of which the latter has floats alone
        return eight_bits.unpack(dict(found))
    layers = by_layer(found) if kind == "Caffe" else layers_of(dict(found), path)
    if is_vgg16(layers):
        raise UserError(f"{path} is a plain VGG-16; {_CONVERT}")
    if kind != "Caffe" and "conv1_1.weight" not in dict(found):
        raise UserError(f"{path} has no LargeFOV with Caffe's names in it; {_CONVERT}")
    return {row.name: row.tensor for row in from_caffe(layers, path)}


def format_of(path: Path) -> str:
    """Tell the kind of a file: checkpoint, npz, PyTorch, safetensors, HDF5, pickle, or else Caffe.

    Raises UserError for what is known to hold no weights of these.
    """
    if tf_checkpoint.index_of(path).is_file():
        return "checkpoint"
    try:
        with path.open("rb") as file:
            head = file.read(64)
            file.seek(-min(1 << 20, path.stat().st_size), 2)
            tail = file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if tail.endswith(_V1_END):
        return "checkpoint"
    if head.startswith(b"PK\x03\x04"):  # its first member's name is at its begin, all at its end
        if b"data.pkl" in head + tail:
            return "PyTorch"
        if b".npy" in head + tail:
            return "npz"
        raise UserError(f"{path} is a zip of other files; unpack it, and give the weights in it")
    for beginning, kind in _BEGINNINGS.items():
        if re.match(beginning, head):
            return kind
    for beginning, advice in _NO_WEIGHTS.items():
        if re.match(beginning, head):
            raise UserError(f"{path} {advice}")
    return "Caffe"
