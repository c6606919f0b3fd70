"""Pickles of arrays: PyTorch's files, zips or streams, and the first TensorFlow version's.

A pickle is a program. Here it can call nothing: of the few names that arrays need it gets notes of
what it wanted to call with what, and the arrays are made of those notes. All other names are
refused.
"""

import functools
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from deeplab_lfov.errors import UserError, shortened
from deeplab_lfov.weights.foreign import Pairs
from deeplab_lfov.weights.matching import state_dict_of

_FLOATS = {"Float": "f4", "Half": "f2", "Double": "f8", "BFloat16": ml_dtypes.bfloat16}
_WHOLE = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
_TORCH = {f"torch.{name}Storage": np.dtype(kind) for name, kind in (_FLOATS | _WHOLE).items()}
_NAMES = {
    *("_codecs.encode", "numpy.dtype", "numpy.ndarray"),  # bytes, as Python 3 writes them for 2
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"),
    *("torch._utils._rebuild_parameter", "torch.Size", *_TORCH),
}
_BESIDE = {
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),  # the best accuracy so far
    *("collections.Counter", "collections.defaultdict", "argparse.Namespace"),  # schedules, flags
    *("builtins.set", "__builtin__.set", "builtins.list", "__builtin__.list", "torch.device"),
    *("pathlib.PosixPath", "pathlib._local.PosixPath"),
}
"""Names of what training stores beside weights."""
_SAVE = "save its state dict alone, torch.save(model.state_dict(), ...)"
_REMEDIES = {
    "torch.storage._load_from_bytes": "load it by Python's pickle and torch.save it",
    "torch._utils._rebuild_tensor_v3": "if it holds float8, torch.save it as float32",
    "torch.distributed": "gather distributed tensors by get_model_state_dict with "
    "StateDictOptions(full_state_dict=True), and torch.save that",
    "torch._utils._rebuild_qtensor": "it is quantized; save the network before that",
}
"""What helps against names that are refused, by how they begin."""
_DICTS_OF = {
    frozenset({"blobs", "matching_heuristics", "__author__"}): "Detectron's",
    frozenset({"StructuredToParameterName@@"}): "Paddle's",
}


class _Call:
    """A note of a call that was not made, and of the state that its result would have got."""

    def __init__(self, name: str, arguments: tuple):
        self.name, self.arguments, self.state = name, arguments, ()

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Beside:
    """What stands for an object that is no weights, whatever a pickle does to it."""

    def __new__(cls, *arguments: object) -> "_Beside":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Take the place of its attributes."""

    def __setitem__(self, key: object, value: object) -> None:
        """Take the place of a dict's entries."""


class _Name(NamedTuple):
    """What a pickle gets for a name; it cannot change it, and its calls become notes."""

    name: str

    def __call__(self, *arguments: object) -> _Call:
        return _Call(self.name, arguments)


class _Unpickler(pickle.Unpickler):
    """An unpickler of notes; types: those of the numbers in storages outside of it, by key."""

    def __init__(self, stream: BinaryIO, where: str | Path):
        super().__init__(stream, encoding="latin1")  # Python 2's texts are bytes
        self._where = where
        self.types: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> object:
        """Return a stand-in for a name, or raise UserError."""
        full_name = f"{module}.{name}"
        if full_name == "collections.OrderedDict":
            return OrderedDict
        if full_name in _BESIDE:
            return _Beside
        if full_name not in _NAMES:
            known = [what for each, what in _REMEDIES.items() if full_name.startswith(each)]
            raise UserError(
                f"{self._where} calls {shortened(full_name, 100)}, which no weights need; "
                + (*known, _SAVE)[0]
            )
        return _Name(full_name)

    def persistent_load(self, pid: object) -> str:
        """Return the key of a storage; PyTorch's files refer to them, and their types, so."""
        what, kind, key, _, _, *view = pid
        if what != "storage" or view not in ([], [None]):
            raise ValueError("it refers to what is no storage")
        self.types[key] = _TORCH[kind.name]
        return key


def read_pickle(path: Path) -> Pairs:
    """Yield the arrays of a pickled dict {name: array}, float32.

    Raises ValueError for a damaged file and for one that wants to call anything but numpy's array
    constructors, and UserError for one without arrays, as the first version's net_skeleton is.
    """
    with path.open("rb") as file:
        content = _Unpickler(file, file.name).load()
    calls = content.values() if isinstance(content, dict) else ()
    for keys, program in _DICTS_OF.items():
        if isinstance(content, dict) and keys & set(map(str, content)):
            raise UserError(f"{path} is a pickle of {program}; save its arrays as .npz or .pth")
    if not calls or not all(isinstance(call, _Call) for call in calls):
        raise UserError(f"{path} is a pickle without weights; of two files take the net_weights")
    for name, call in content.items():
        yield name, _numpy_array(call).astype(np.float32, copy=False)


def _numpy_array(call: _Call) -> np.ndarray:
    if call.name.endswith("_frombuffer"):  # in protocol 5
        content, dtype, shape, order = call.arguments
    else:
        _, shape, dtype, is_fortran, content = call.state
        order = "F" if is_fortran else "C"
    if isinstance(content, _Call):
        content = content.arguments[0]
    content = content.encode("latin1") if isinstance(content, str) else content
    if dtype.arguments[0] not in ("f2", "f4", "f8"):
        raise ValueError(f"an array is of type {dtype.arguments[0]} and not of floats")
    values = np.frombuffer(content, dtype.state[1] + dtype.arguments[0])
    return values.reshape(shape, order=order)


def read_torch(path: Path) -> Pairs:
    """Yield the tensors of a state dict by name, floats as float32.

    Raises ValueError for a file that is damaged or wants to call anything but what tensors need,
    and UserError for one without a network.
    """
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"  # else a stream, as before PyTorch 1.6
        file.seek(0)
        content, storage = (_load_zip if is_zip else _load_stream)(file)
        for name, array in state_dict_of(_with_arrays(content, storage), path).items():
            yield name, array.astype(np.float32) if array.dtype.kind in "fV" else array


Storage = Callable[[str], tuple[bytes, np.dtype]]  # by its key


def _load_zip(file: BinaryIO) -> tuple[object, Storage]:
    archive = zipfile.ZipFile(file)
    members = archive.namelist()
    root = next(name for name in members if name.endswith("data.pkl"))[: -len("data.pkl")]
    if f"{root}constants.pkl" in members:
        raise ValueError("it is a TorchScript archive; save torch.jit.load(...).state_dict() of it")
    is_big = f"{root}byteorder" in members and archive.read(f"{root}byteorder") == b"big"
    with archive.open(f"{root}data.pkl") as stream:
        unpickler = _Unpickler(stream, file.name)
        content = unpickler.load()

    @functools.cache
    def storage(key: str) -> tuple[bytes, np.dtype]:
        dtype = unpickler.types[key].newbyteorder(">" if is_big else "<")
        return archive.read(f"{root}data/{key}"), dtype

    return content, storage


def _load_stream(file: BinaryIO) -> tuple[object, Storage]:
    for _ in range(3):  # a magic number, the protocol, and facts about the machine
        _Unpickler(file, file.name).load()
    unpickler = _Unpickler(file, file.name)
    content, storages = unpickler.load(), {}
    for key in _Unpickler(file, file.name).load():
        dtype = unpickler.types[key].newbyteorder("<")
        size = int.from_bytes(file.read(8), "little") * dtype.itemsize
        storages[key] = file.read(size), dtype
    return content, storages.__getitem__


def _with_arrays(content: object, storage: Storage) -> object:
    """Put arrays in the place of tensors, in dicts that lie in dicts; leave out all else."""
    if isinstance(content, dict):
        return {key: _with_arrays(each, storage) for key, each in content.items()}
    if isinstance(content, _Call) and content.name.startswith("torch._utils"):
        return _torch_array(content, storage)
    if isinstance(content, _Call) and content.name.endswith(("_reconstruct", "_frombuffer")):
        return _numpy_array(content)
    return None


def _torch_array(call: _Call, storage: Storage) -> np.ndarray:
    if call.name.endswith("_rebuild_parameter"):
        return _torch_array(call.arguments[0], storage)
    key, offset, *sides = call.arguments[:4]
    shape, strides = (side.arguments[0] if isinstance(side, _Call) else side for side in sides)
    numbers, dtype = storage(key)
    size = dtype.itemsize
    # NumPy raises where they reach out of the storage.
    return np.ndarray(shape, dtype, numbers, offset * size, [step * size for step in strides])
