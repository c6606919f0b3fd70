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
from deeplab_lfov.weights.conversion import TRUNK, by_layer, from_caffe, is_vgg16
from deeplab_lfov.weights.keras_vgg16 import read_h5
from deeplab_lfov.weights.matching import Match, match_layers
from deeplab_lfov.weights.onnx_file import read_onnx
from deeplab_lfov.weights.pickles import read_pickle, read_torch
from deeplab_lfov.weights.plain_arrays import read_npz, read_safetensors

Tensors = dict[str, np.ndarray]
StoredTensors = dict[str, np.ndarray | tf_checkpoint.StoredTensor]

_V1_END = bytes.fromhex("57fb808b247547db")  # of a V1 checkpoint
_READERS = {
    "npz": read_npz,
    "pickle": read_pickle,
    "Caffe": read_caffemodel,
    "PyTorch": read_torch,
    "safetensors": read_safetensors,
    "Keras": read_h5,
    "ONNX": read_onnx,
}
_ORDERS = {"Caffe": "graph", "ONNX": "graph", "PyTorch": "file", "npz": "file", "pickle": "file"}
"""What tells the order of a file's layers, see `match_layers`; of other kinds their names do."""
_BEGINNINGS = {
    rb"\x08[\x03-\x20][\x12\x1a\x22\x28\x32\x3a\x42]": "ONNX",  # its version, and who wrote it
    rb"(?s:...)\0{5}\{": "safetensors",  # the length of its head, and the head, in JSON
    rb"\x89HDF": "Keras",
    rb"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46": "PyTorch",  # a stream, as before 1.6
    rb"\x80[\x02-\x05]": "pickle",
}
_NO_WEIGHTS = {
    b"\xff\xd8\xff|\x89PNG|GIF8|BM|RIFF": "is a picture; in inference.py the weights come last",
    b"\x93NUMPY": "is one array of numpy's; give an .npz of all, by the names of layers",
    rb"\x08\x01": "is a saved_model.pb; give the checkpoint that it was made of",
    rb"GGUF|(?s:....)TFL3": "is a network packed for inference; give what it was made of",
    rb"\x12\x01\0{6}": "is of MXNet; export it to ONNX",
    rb"[\x81-\x8f\xde][\xa0-\xbf\xd9]": "is msgpack, perhaps of Flax; save its arrays as .npz",
    rb"MATLAB": "is of MATLAB; save its arrays as .npz, by scipy.io.loadmat",
    rb'\{\s*"(metadata|weight_map)"': "lists the parts of a network; load them, and save it whole",
    b"version https://git-lfs": "is a Git LFS pointer; fetch the file itself: git lfs pull",
    b"(?i:<!doctype|<html|<\\?xml)": "is a web page or XML; download the file again",
    b"\x1f\x8b|7z\xbc\xaf": "is packed; unpack it first",
    rb"layer \{|name:": "is a prototxt; give the .caffemodel",
    rb"\Z": "is empty; download or copy it again",
    # Only a .caffemodel may begin with a line feed and go on in letters: with a long name.
    rb"[\t\r -~][\t\n\r -~]*\Z": "is text; if it was downloaded, read what it says",
}
"""What else is given in the place of weights, by how it begins, and what to do."""
_MEMBERS = {b"data.pkl": "PyTorch", b"model.weights.h5": "Keras", b".npy": "npz"}
"""The kinds of zips, by the name of a file in it."""
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


def read_match(path: Path) -> Match:
    """Find VGG-16's layers in a file of any known kind; raises UserError for other networks."""
    kind = format_of(path)
    if kind == "checkpoint":  # Keras' end in what is no name
        stored = tf_checkpoint.stored_tensors(path)
        tensors = {
            re.sub(r"/\.ATTRIBUTES/.*", "", name): np.asarray(stored[name]) for name in stored
        }
    elif kind == "Caffe":
        blobs = by_layer(read_foreign(kind, path))
        tensors = {f"{n}/{i}": blob for n, pair in blobs.items() for i, blob in enumerate(pair)}
    else:
        tensors = dict(read_foreign(kind, path))
    is_listed = kind == "Keras" and not re.search(r"/\d$", next(iter(tensors), ""))
    return match_layers(tensors, path, "graph" if is_listed else _ORDERS.get(kind, "names"))


def _stored(path: str | Path) -> StoredTensors:
    path = tf_checkpoint.locate(path)
    kind = format_of(path)
    if kind == "checkpoint":
        return tf_checkpoint.stored_tensors(path)
    if kind in ("Keras", "ONNX"):
        raise UserError(f"{path} is a file of {kind}; {_CONVERT}")
    if kind in ("npz", "pickle"):  # of which the latter has floats alone
        is_ours = path == eight_bits.PRETRAINED
        return eight_bits.unpack(dict(read_npz(path) if is_ours else read_foreign(kind, path)))
    match = read_match(path)
    if "fc6" not in match.layers or is_vgg16(match.layers):
        raise UserError(f"{path} is a plain VGG-16; {_CONVERT}")
    if match.left_out or [*match.sources.values()][:15] != [*TRUNK, "fc6", "fc7"]:
        raise UserError(f"{path} has no LargeFOV with Caffe's names in it; {_CONVERT}")
    return {row.name: row.tensor for row in from_caffe(match.layers)}


def format_of(path: Path) -> str:
    """Tell the kind of a file: checkpoint, npz, PyTorch, safetensors, Keras, ONNX ...; else Caffe.

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
        if b"archive_format" in head + tail:
            raise UserError(f"{path} is of torch.export; torch.save its .state_dict instead")
        for member, kind in _MEMBERS.items():
            if member in head + tail:
                return kind
        raise UserError(f"{path} is a zip of other files; unpack it, and give the weights in it")
    for beginning, kind in _BEGINNINGS.items():
        if re.match(beginning, head):
            return kind
    for beginning, advice in _NO_WEIGHTS.items():
        if re.match(beginning, head):
            raise UserError(f"{path} {advice}")
    return "Caffe"
