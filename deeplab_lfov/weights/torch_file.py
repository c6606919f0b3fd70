"""PyTorch's files without PyTorch: the zip format (since 1.6), and the stream of pickles before.

What is pickled are dicts of tensors, which say where in which storage they lie. The machine can
call nothing but the stand-ins below; no storage is read before all sizes have been compared.
"""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from deeplab_lfov.errors import UserError, shortened
from deeplab_lfov.weights.npz import members_of, unpack
from deeplab_lfov.weights.pickle_machine import Attributed, ForbiddenCallError, Machine

STREAM = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""How a file in the older format begins."""

Content = bytes | memoryview

_TYPES = {
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Double": np.float64,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
_MOST_DIMENSIONS, _MOST_SIZE = 32, 1 << 40
_MOST_DEPTH = 10  # of dicts in dicts
_FREE_BYTES = 1 << 20  # that tensors may have more than the file: expanded ones, a few numbers
_ADVICE = "; save its state dict alone, torch.save(model.state_dict(), ...)"


class StorageType(NamedTuple):
    """What `torch.FloatStorage` is to a file: a type of numbers. Nobody can call it."""

    dtype: type


class Storage(NamedTuple):
    """A piece of memory that tensors lie in: its key in the file, and its numbers."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A tensor of a file that is not read yet; offset and strides in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How much memory it will take."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


def read_torch(path: Path) -> object:
    """Read what a file has pickled, its tensors as arrays: most often a dict, or dicts in it.

    Raises UserError for a file that is damaged or wants to call anything but what tensors need.
    """
    try:
        with path.open("rb") as file:
            is_stream = file.read(len(STREAM)) == STREAM
        return _read_stream(path) if is_stream else _read_zip(path)
    # Each opcode of a damaged pickle fails in its own way, and nothing of ours runs but the above.
    except Exception as error:
        reason = shortened(str(error) or type(error).__name__, 300)  # zipfile quotes without end
        advice = _ADVICE if isinstance(error, ForbiddenCallError) else ""
        raise UserError(
            f"{path} is a PyTorch file that cannot be read: {reason}{advice}"
        ) from error


def _read_zip(path: Path) -> object:
    with members_of(path) as (archive, members):
        if sum(each.file_size for each in members.values()) > path.stat().st_size + _FREE_BYTES:
            raise ValueError(
                "it is packed, which PyTorch never does; zip it again with no compression"
            )
        root = next(name for name in members if name.endswith("data.pkl"))[: -len("data.pkl")]
        if f"{root}constants.pkl" in members:
            raise ValueError(
                "it is a TorchScript archive; save torch.jit.load(...).state_dict() of it"
            )
        order = b"little"
        if f"{root}byteorder" in members:
            order = unpack(archive, members[f"{root}byteorder"])
        content = _run(io.BytesIO(unpack(archive, members[f"{root}data.pkl"])), order == b"little")
        tensors = _tensors_of(content, path.stat().st_size)
        storages = {
            storage.key: unpack(archive, members[f"{root}data/{storage.key}"])
            for storage in {tensor.storage for tensor in tensors}
        }
    return _with_arrays(content, storages, {})


def _read_stream(path: Path) -> object:
    stream = io.BytesIO(path.read_bytes())
    for _ in range(2):  # a magic number and the version of the protocol
        _run(stream, True)
    is_little = _run(stream, True)["little_endian"] is True
    content = _run(stream, is_little)
    keys = _run(stream, is_little)
    tensors = _tensors_of(content, len(stream.getbuffer()))
    by_key = {tensor.storage.key: tensor.storage for tensor in tensors}
    storages: dict[str, Content] = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little" if is_little else "big")
        if key not in by_key:
            raise ValueError(f"no tensor lies in its storage {key}")
        size = count * by_key[key].dtype.itemsize
        storages[key] = stream.getbuffer()[stream.tell() : stream.tell() + size]
        stream.seek(size, io.SEEK_CUR)
    return _with_arrays(content, storages, {})


def _run(stream: io.BytesIO, is_little: bool) -> object:
    def persistent(what: object) -> Storage:
        if type(what) is not tuple or len(what) not in (5, 6) or what[0] != "storage":
            raise ValueError("it refers to what is no storage")
        _, kind, key, _, count, *view = what
        if not isinstance(kind, StorageType) or type(key) is not str or len(key) > 100:
            raise ValueError("a storage has no type or name")
        if type(count) is not int or not 0 <= count < _MOST_SIZE or view not in ([], [None]):
            raise ValueError("a storage is of an impossible size")
        dtype = np.dtype(kind.dtype)
        return Storage(key, dtype if is_little else dtype.newbyteorder(">"), count)

    return Machine(_FUNCTIONS, persistent, keys=(str, int)).run(stream)


def _rebuild(storage: object, offset: object, shape: object, strides: object, *_: object) -> Tensor:
    numbers = [offset]
    for each in (shape, strides):
        if type(each) is not tuple or len(each) > _MOST_DIMENSIONS:
            raise ValueError("a tensor's shape is no short tuple")
        numbers += each
    if not isinstance(storage, Storage) or len(shape) != len(strides):
        raise ValueError("a tensor lies in no storage")
    if not all(type(number) is int and 0 <= number < _MOST_SIZE for number in numbers):
        raise ValueError("a tensor's shape is not of sizes")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise ValueError(f"a tensor of {list(shape)} is larger than its storage")
    return Tensor(storage, offset, shape, strides)


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _ordered(*pairs: object) -> Attributed:
    made = Attributed()
    given = pairs[0] if pairs and type(pairs[0]) is list else []
    # Taken out of the list: who gives one list to many calls would have them go on without end.
    taken, given[:] = given[:], []
    for pair in taken:
        if type(pair) not in (list, tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise ValueError("an OrderedDict is made of other things than pairs")
        made[pair[0]] = pair[1]
    return made


_FUNCTIONS: dict[str, Callable[..., object] | StorageType] = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor_v2": _rebuild,
    "torch._utils _rebuild_tensor": _rebuild,
    "torch._utils _rebuild_parameter": _parameter,
    "torch Size": _parameter,
} | {f"torch {name}Storage": StorageType(kind) for name, kind in _TYPES.items()}
"""All that a pickle may call, as GLOBAL writes module and name."""


def _tensors_of(content: object, size: int) -> list[Tensor]:
    """List the tensors in dicts, lists and tuples; raises ValueError for more than a file has."""
    found: list[Tensor] = []
    waiting, seen = [content], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, (dict, list, tuple)) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
    if sum(tensor.nbytes for tensor in found) > size + _FREE_BYTES:
        raise ValueError("its tensors are larger than the file")
    return found


def _with_arrays(
    content: object, storages: Mapping[str, Content], made: dict[int, dict], depth: int = 0
) -> object:
    """Put arrays in the place of tensors, in dicts that lie in dicts; leave out all else.

    made: what dicts have become, by id: one may be in many places, and in itself.
    """
    if isinstance(content, Tensor):
        return _array(content, storages[content.storage.key])
    if not isinstance(content, dict) or depth > _MOST_DEPTH:
        return None
    if id(content) not in made:
        made[id(content)] = {}
        for key, each in content.items():
            made[id(content)][key] = _with_arrays(each, storages, made, depth + 1)
    return made[id(content)]


def _array(tensor: Tensor, content: Content) -> np.ndarray:
    dtype = tensor.storage.dtype
    if len(content) < tensor.storage.count * dtype.itemsize:
        raise ValueError(f"the storage {tensor.storage.key} is cut off")
    numbers = np.frombuffer(content, dtype, tensor.storage.count)[tensor.offset :]
    steps = [step * dtype.itemsize for step in tensor.strides]
    values = np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps, writeable=False)
    return values.astype(np.float32) if dtype.kind in "fV" else np.array(values)
