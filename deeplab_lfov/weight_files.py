"""Weights of every known format as tensors by name, `conv1_1/w` (HWIO) to `fc8_voc12/b`.

A file's format is told by its content, never by its name.
"""

import glob
import io
import math
import re
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.caffemodel import read_caffemodel
from deeplab_lfov.conversion import from_caffe, is_vgg16
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.files import check_no_glob
from deeplab_lfov.py2_pickle import read_pickle

Tensors = dict[str, np.ndarray]

PREFIX = "model.ckpt"
_TABLE_END = bytes.fromhex("57fb808b247547db")  # of a V1 checkpoint
_MOST_BYTES = 4 << 30  # unpacked; this network's weights with all slots are 0.25 GB
_BEGINNINGS = {
    b"PK\x03\x04": "npz",
    b"\x89HDF": "HDF5",
    **{bytes([0x80, protocol]): "pickle" for protocol in (2, 3, 4, 5)},
}


def read_tensors(path: str | Path) -> Tensors:
    """All tensors of a weight file by name.

    Known: TensorFlow checkpoints, V2 and V1; `.npz` with the same names; a LargeFOV `.caffemodel`;
    the first TensorFlow version's pickle. Raises UserError for a file that is missing, damaged, or
    of another kind.
    """
    path = locate(path)
    return _READERS[format_of(path)](path)


def format_of(path: Path) -> str:
    """The kind of a file that exists: checkpoint, npz, HDF5, pickle, or else Caffe."""
    if _index_of(path).is_file():
        return "checkpoint"
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(-min(8, path.stat().st_size), 2)
            tail = file.read(8)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if tail == _TABLE_END:
        return "checkpoint"
    return next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), "Caffe")


def locate(path: str | Path) -> Path:
    """The weights that a path means: of a folder (or its file `checkpoint`) the newest checkpoint,
    of a checkpoint's part (`.index`, `.data-00000-of-00001`) the whole.

    Raises UserError when there is nothing; it names the checkpoints beside.
    """
    path = Path(path)
    folder = path.parent if path.name == "checkpoint" else path
    if folder.is_dir():
        found = checkpoints_in(folder)
        if not found:
            raise UserError(f"there is no checkpoint in the folder {folder}")
        return found[-1]
    whole = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if _index_of(whole).is_file():
        return whole
    if path.name == "net_skeleton.json":
        raise UserError(f"{path} has names and shapes only; take the net_weights.npz beside it")
    if not path.is_file():
        beside = [str(other) for other in reversed(checkpoints_in(path.parent))]
        hint = f"; there are {few(beside)}" if beside else ""
        raise UserError(f"there is no checkpoint {path}{hint}")
    return path


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder: named ones (`model.ckpt-init`), then `model.ckpt-<step>`s."""
    found = [path.with_suffix("") for path in folder.glob(f"{PREFIX}-*.index")]
    return sorted(found, key=lambda path: (step_of(path) is not None, step_of(path), path.name))


def step_of(path: Path) -> int | None:
    """The step in the name `model.ckpt-<step>`, None in any other name."""
    step = re.fullmatch(rf"{re.escape(PREFIX)}-(\d+)", path.name)
    return int(step.group(1)) if step else None


def _index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.index")


def _read_checkpoint(path: Path) -> Tensors:
    check_no_glob(path)
    files = [path, *path.parent.glob(f"{glob.escape(path.name)}.data-*")]
    stored = sum(file.stat().st_size for file in files if file.is_file())
    try:
        reader = tf.train.load_checkpoint(str(path))
        types = reader.get_variable_to_dtype_map()
        for name, shape in reader.get_variable_to_shape_map().items():
            if math.prod(shape) * types[name].size > stored:
                raise ValueError(f"{name} is said to be {shape}, more than there is")
        return {name: np.asarray(reader.get_tensor(name)) for name in types}
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path} is damaged or no checkpoint: {error}") from error


def _read_npz(path: Path) -> Tensors:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise ValueError(f"it would unpack to more than {_MOST_BYTES >> 30} GiB")
            return {m.filename.removesuffix(".npy"): _read_npy(archive.read(m)) for m in members}
    # zipfile, zlib and numpy's header parser each have errors of their own for damaged files.
    except Exception as error:
        raise UserError(f"{path} is damaged or no .npz of arrays: {error}") from error


def _read_npy(content: bytes) -> np.ndarray:
    """numpy.load, but comparing the header's shape with the content before it allocates."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array of {dtype} {shape} has {len(content) - stream.tell()} bytes")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _read_caffe(path: Path) -> Tensors:
    layers = read_caffemodel(path)
    if is_vgg16(layers):
        raise UserError(f"{path} is a plain VGG-16; {_CONVERT}")
    return {row.name: row.tensor for row in from_caffe(layers, path)}


def _refuse_hdf5(path: Path) -> Tensors:
    raise UserError(f"{path} is an HDF5 file, perhaps of Keras; {_CONVERT}")


_CONVERT = "util/extract_params.py turns VGG-16 weights into a checkpoint to train from"
_READERS = {
    "checkpoint": _read_checkpoint,
    "npz": _read_npz,
    "pickle": read_pickle,
    "Caffe": _read_caffe,
    "HDF5": _refuse_hdf5,
}
