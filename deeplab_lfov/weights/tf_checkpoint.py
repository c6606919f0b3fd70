"""TensorFlow's checkpoints, V2 and V1: their names, and their tensors."""

import glob
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.files import check_no_glob
from deeplab_lfov.network.layers import parameter_shapes

PREFIX = "model.ckpt"
BEST = f"{PREFIX}-best"
"""The checkpoint of a run with the highest mean IoU on its val list."""
_SHARDS = ("*.distcp", "_CHECKPOINT_METADATA", "_METADATA", "*.index.json", "*-of-*")  # parts
_PARAMETERS = set(parameter_shapes(1, 1.0))

# Of quantized types and references TensorFlow ends the process, and others no network has.
_TYPES = {
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.bool, tf.string),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
}

# TypeError is for a number that stands for no type.
_DAMAGE = (tf.errors.OpError, IndexError, OSError, RuntimeError, TypeError, ValueError, MemoryError)


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
            shard = next((each.name for name in _SHARDS for each in folder.glob(name)), "")
            hint = f", but {shard}: load it where it was made, and save one file" if shard else ""
            raise UserError(f"there is no checkpoint in the folder {folder}{hint}")
        return next((each for each in reversed(found) if has_data(each)), found[-1])
    whole = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if index_of(whole).is_file():
        return whole
    if not path.is_file():
        beside = [str(other) for other in reversed(checkpoints_in(path.parent))]
        hint = f"; there are {few(beside)}" if beside else ""
        raise UserError(f"there is no checkpoint {path}{hint}")
    return path


def origin_of(path: str | Path) -> str:
    """Say which weights a path means; of a folder, why these."""
    found = locate(path)
    why = "its best on the val list" if found.name == BEST else "its newest checkpoint"
    return f"{found}, {why}" if Path(path).is_dir() else str(found)


def is_slot(name: str) -> bool:
    """Tell whether a tensor is an optimizer's, like `fc6/w/Adam`."""
    return name.rpartition("/")[0] in _PARAMETERS


def check_finite(name: str, numbers: np.ndarray, where: str | Path) -> None:
    """Raise UserError for numbers that are not finite."""
    if numbers.dtype.kind in "fV" and not np.isfinite(numbers).all():
        raise UserError(
            f"{where} has numbers in {name} that are not finite; if it is a run's, take an earlier "
            "checkpoint"
        )


class GoneError(UserError):
    """A run has removed a checkpoint, or put a better one in its place, while it was read."""


class StoredTensor:
    """A tensor of a checkpoint, read when NumPy (`np.asarray`) or TensorFlow asks for its numbers.

    That raises UserError where they are damaged, or the file is another one by now.
    """

    def __init__(
        self, path: Path, read: Callable, version: tuple, name: str, shape: tuple, dtype: tf.DType
    ):
        self._path, self._read, self._version, self._name = path, read, version, name
        self.shape, self.dtype, self._stored = shape, np.dtype(dtype.as_numpy_dtype), dtype

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """Read the numbers by no operation, which would make devices before they are chosen."""
        with self._reading():
            read = self._read(self._name)
            self._check(read)
            return np.array(read, dtype)  # whose memory the system gets back, unlike TensorFlow's

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        """Read the numbers straight into a tensor of the host's, without an array between."""
        with self._reading(), tf.device("CPU:0"):
            (tensor,) = tf.raw_ops.RestoreV2(
                prefix=str(self._path),
                tensor_names=[self._name],
                shape_and_slices=[""],
                dtypes=[self._stored],
            )
            self._check(tensor.numpy())
            return tensor if dtype is None else tf.cast(tensor, dtype)

    def _check(self, numbers: np.ndarray) -> None:
        if self._name in _PARAMETERS:
            check_finite(self._name, numbers, self._path)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with _damage_explained(self._path):
            yield
            version = _version(self._path)
        if version != self._version:
            raise GoneError(f"{self._path} has changed while it was read; run the command again")


def _version(path: Path) -> tuple[int, int]:
    """Identify the file that lists a checkpoint's tensors, so that another in its place is seen."""
    index = index_of(path)
    state = (index if index.is_file() else path).stat()
    return state.st_ino, state.st_mtime_ns


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of a checkpoint by name.

    Raises UserError for a checkpoint that is damaged, before memory is taken for what it claims.
    """
    check_no_glob(path)
    with _damage_explained(path):
        files = [path, *path.parent.glob(f"{glob.escape(path.name)}.data-*")]
        stored = sum(file.stat().st_size for file in files if file.is_file())
        if index_of(path).is_file() and not has_data(path):
            raise UserError(f"{path} has lost its data: there is no {path}.data-00000-of-00001")
        version = _version(path)
        reader = tf.train.load_checkpoint(str(path))
        types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        _check_sizes(types, shapes, stored)
    read = reader.get_tensor
    return {n: StoredTensor(path, read, version, n, tuple(shapes[n]), types[n]) for n in types}


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if not index_of(path).exists() and not path.exists():
            raise GoneError(f"{path} has gone while it was read; run the command again") from error
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
