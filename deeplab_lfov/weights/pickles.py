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
from typing import BinaryIO

import ml_dtypes
import numpy as np

from deeplab_lfov.errors import UserError, few, shortened
from deeplab_lfov.weights.foreign import Pairs

_FLOATS = {"Float": "f4", "Half": "f2", "Double": "f8", "BFloat16": ml_dtypes.bfloat16}
_WHOLE = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
_TORCH = {f"torch.{name}Storage": np.dtype(kind) for name, kind in (_FLOATS | _WHOLE).items()}
_NAMES = {
    *("_codecs.encode", "numpy.dtype", "numpy.ndarray"),  # bytes, as Python 3 writes them for 2
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"),
    *("torch._utils._rebuild_parameter", "torch.Size", *_TORCH),
    # Beside weights: the best accuracy so far, schedules, flags.
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "torch.device"),
    *("collections.Counter", "collections.defaultdict", "argparse.Namespace"),
    *("builtins.set", "__builtin__.set", "builtins.list", "__builtin__.list"),
    *("pathlib.PosixPath", "pathlib._local.PosixPath"),
}
_REMEDIES = {
    "torch.storage._load_from_bytes": "load it by Python's pickle and torch.save it",
    "torch._utils._rebuild_tensor_v3": "if it holds float8, torch.save it as float32",
    "torch._tensor._rebuild_from_type_v2": "if its tensors are distributed, torch.save what "
    "get_model_state_dict(..., StateDictOptions(full_state_dict=True)) gives",
    "torch._utils._rebuild_qtensor": "it is quantized; save the network before that",
    "": "save its state dict alone, torch.save(model.state_dict(), ...)",
}
"""What helps against names that are refused, by how they begin."""
_PROGRAMS = {"blobs": "Detectron's", "StructuredToParameterName@@": "Paddle's"}  # by a key
_STATE_DICTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
_STATE_DICTS += ("weights",)


class _Note:
    """A note of a call that was not made, and of the state that its result would have got."""

    def __new__(cls, *arguments: object) -> "_Note":
        note = super().__new__(cls)
        note.arguments, note.state = arguments, ()
        return note

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Pass over the entries of what would be a dict, and no weights."""


class _Unpickler(pickle.Unpickler):
    """An unpickler of notes; types: those of the numbers in storages outside of it, by key."""

    def __init__(self, stream: BinaryIO, where: str | Path):
        super().__init__(stream, encoding="latin1")  # Python 2's texts are bytes
        self._where = where
        self.types: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> type:
        """Return a class of notes for a name that may be there; else raise UserError."""
        full_name = f"{module}.{name}"
        if full_name == "collections.OrderedDict":
            return OrderedDict
        if full_name not in _NAMES:
            remedy = next(what for each, what in _REMEDIES.items() if full_name.startswith(each))
            raise UserError(
                f"{self._where} calls {shortened(full_name, 100)}, which no weights need; {remedy}"
            )
        return type("_Note", (_Note,), {"name": full_name})

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
    content = content if isinstance(content, dict) else {}
    if program := next((program for key, program in _PROGRAMS.items() if key in content), ""):
        raise UserError(f"{path} is a pickle of {program}; save its arrays as .npz or .pth")
    if not content or not all(isinstance(call, _Note) for call in content.values()):
        raise UserError(f"{path} is a pickle without weights; of two files take the net_weights")
    for name, call in content.items():
        yield name, _numpy_array(call).astype(np.float32, copy=False)


def _numpy_array(call: _Note) -> np.ndarray:
    if call.name.endswith("_frombuffer"):  # in protocol 5
        content, dtype, shape, order = call.arguments
    else:
        _, shape, dtype, is_fortran, content = call.state
        order = "F" if is_fortran else "C"
    if isinstance(content, _Note):
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


def state_dict_of(content: object, where: str | Path) -> dict[str, np.ndarray]:
    """Find the one dict of tensors, with filters among them, in dicts; raises UserError.

    One under a usual key goes before others, such as moving averages.
    """
    found = _state_dicts(content, "")
    found = [(key, tensors) for key, tensors in found if key in _STATE_DICTS] or found
    if len(found) > 1:
        keys = few([key for key, _ in found])
        raise UserError(f"{where} holds several networks: {keys}; save one of them")
    if not found:
        is_state = isinstance(content, dict) and {"param_groups", "optimizer"} & set(content)
        what = "an optimizer and no network" if is_state else "no tensors"
        raise UserError(
            f"{where} is a PyTorch file that holds {what}; give a state dict of a network"
        )
    return found[0][1]


def _state_dicts(content: object, key: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    if not isinstance(content, dict) or "optim" in key:
        return []
    own = {str(name): value for name, value in content.items() if isinstance(value, np.ndarray)}
    if any(value.ndim > 1 for value in own.values()):
        return [(key, own)]
    return [pair for name, each in content.items() for pair in _state_dicts(each, str(name))]


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
    if isinstance(content, _Note) and content.name.startswith("torch._utils"):
        return _torch_array(content, storage)
    if isinstance(content, _Note) and content.name.endswith(("_reconstruct", "_frombuffer")):
        return _numpy_array(content)
    return None


def _torch_array(call: _Note, storage: Storage) -> np.ndarray:
    if call.name.endswith("_rebuild_parameter"):
        return _torch_array(call.arguments[0], storage)
    key, offset, *sides = call.arguments[:4]
    shape, strides = (side.arguments[0] if isinstance(side, _Note) else side for side in sides)
    numbers, dtype = storage(key)
    size = dtype.itemsize
    # NumPy raises where they reach out of the storage.
    return np.ndarray(shape, dtype, numbers, offset * size, [step * size for step in strides])
