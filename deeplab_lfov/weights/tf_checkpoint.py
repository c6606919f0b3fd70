"""TensorFlow's checkpoints, V2 and V1: their names, and their tensors."""

import glob
import math
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import check_no_glob
from deeplab_lfov.network.layers import parameter_shapes
from deeplab_lfov.weights.tf_index import check_index

PREFIX = "model.ckpt"
_PARAMETERS = set(parameter_shapes(1, 1.0))

# Of quantized types and references TensorFlow ends the process, and others no network has.
_TYPES = {
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.bool, tf.string),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
}

# TypeError is for a number that stands for no type.
_OF_DAMAGE = (
    tf.errors.OpError,
    IndexError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def checkpoints_in(folder: Path) -> list[Path]:
    """List a folder's checkpoints: named ones (`model.ckpt-init`), then `model.ckpt-<step>`s."""
    found = [path.with_suffix("") for path in folder.glob(f"{PREFIX}-*.index")]
    return sorted(found, key=lambda path: (step_of(path) is not None, step_of(path), path.name))


def step_of(path: Path) -> int | None:
    """Return the step in the name `model.ckpt-<step>`, None for any other name."""
    step = re.fullmatch(rf"{re.escape(PREFIX)}-(\d+)", path.name)
    return int(step.group(1)) if step else None


def index_of(path: Path) -> Path:
    """Return the file that a V2 checkpoint cannot do without."""
    return path.with_name(f"{path.name}.index")


def has_data(path: Path) -> bool:
    """Tell whether any data file of a V2 checkpoint is beside its index."""
    return any(path.parent.glob(f"{glob.escape(path.name)}.data-*"))


def is_slot(name: str) -> bool:
    """Tell whether a tensor is an optimizer's, like `fc6/w/Adam`."""
    return name.rpartition("/")[0] in _PARAMETERS


def read_checkpoint(path: Path, slots: bool = True) -> dict[str, np.ndarray]:
    """Read all tensors of a checkpoint by name, or all but the optimizer's slots.

    Raises UserError for a checkpoint that is damaged, before memory is taken for what it claims.
    """
    check_no_glob(path)
    files = [path, *path.parent.glob(f"{glob.escape(path.name)}.data-*")]
    stored = sum(file.stat().st_size for file in files if file.is_file())
    if index_of(path).is_file() and not has_data(path):
        raise UserError(f"{path} has lost its data: there is no {path}.data-00000-of-00001")
    try:
        if index_of(path).is_file():
            check_index(index_of(path))
        reader = tf.train.load_checkpoint(str(path))
        types = reader.get_variable_to_dtype_map()
        _check_sizes(types, reader.get_variable_to_shape_map(), stored)
        wanted = [name for name in types if slots or not is_slot(name)]
        # Copies, whose memory the system gets back; TensorFlow keeps that of its own tensors.
        return {name: np.array(reader.get_tensor(name)) for name in wanted}
    except _OF_DAMAGE as error:
        raise UserError(f"{path} is damaged or no checkpoint: {error}") from error


def _check_sizes(types: dict[str, tf.DType], shapes: dict[str, list[int]], stored: int) -> None:
    """Raise ValueError for tensors that are not of numbers or texts, or more than is stored."""
    total = 0
    for name, shape in shapes.items():
        if types[name] not in _TYPES:
            raise ValueError(f"{name} is of type {types[name].name}")
        size = math.prod(shape) * types[name].size
        total += size
        # Many tensors can lie in the same bytes; whole numbers of a V1 checkpoint take one byte.
        if size > stored or total > 8 * stored:
            raise ValueError(f"{name} is said to be {shape}, more than there is")
