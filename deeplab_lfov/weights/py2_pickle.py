"""The reader of the first TensorFlow version's weights: Python 2 pickles of numpy arrays.

A pickle is a program. This reader lets it build lists, dicts, strings, numbers and arrays, and runs
none of numpy's own constructors on what the file says before the sizes have been compared.
"""

import io
import math
import pickle
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError

_DTYPES = ("f2", "f4", "f8")


class _Type:
    """A stand-in for numpy.dtype that keeps the type's name and byte order."""

    def __init__(self, name: str, *_: object):
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class _Array:
    """A stand-in for numpy.ndarray that keeps the state that numpy would have been given."""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def numpy(self) -> np.ndarray:
        """Make the array; raises ValueError where shape, type and content do not agree."""
        if self.dtype.name not in _DTYPES or self.dtype.order not in "<>|=":
            raise ValueError(f"an array is of type {self.dtype.name!r} and not of floats")
        dtype = np.dtype(self.dtype.order + self.dtype.name)
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        if min(self.shape, default=1) < 0 or math.prod(self.shape) * dtype.itemsize != len(content):
            raise ValueError(f"an array of shape {self.shape} has {len(content)} bytes")
        order = "F" if self.fortran else "C"
        values = np.frombuffer(content, dtype).reshape(self.shape, order=order)
        return values.astype(np.float32, copy=False)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, _: str) -> bytes:
    return text.encode("latin1")


_ALLOWED = {
    ("_codecs", "encode"): _encode,  # how Python 3 writes bytes for Python 2
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle._Unpickler):
    """The unpickler written in Python: the one in C lets a file ask for a memo of any size.

    Keys of dicts are texts, as hashing nested tuples takes time and stack that a file could choose.
    """

    dispatch = {  # noqa: RUF012
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if code not in (pickle.ADDITEMS[0], pickle.FROZENSET[0])
    }

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def _check_keys(self, keys: list) -> None:
        if not all(isinstance(key, str | bytes) for key in keys):
            raise pickle.UnpicklingError("a key is no text")

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which no weights need")
        return _ALLOWED[module, name]


def read_pickle(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a pickled dict {name: array}, float32.

    Raises UserError for a damaged file, for one that wants to call anything but numpy's array
    constructors, and with a hint for net_skeleton, which holds names and shapes only.
    """
    try:
        content = _Unpickler(io.BytesIO(Path(path).read_bytes()), encoding="latin1").load()
        if isinstance(content, dict) and all(isinstance(a, _Array) for a in content.values()):
            return {str(name): array.numpy() for name, array in content.items()}
    # Each opcode of a damaged pickle fails in its own way, and nothing of ours runs but the above.
    except Exception as error:
        raise UserError(f"{path} is a damaged pickle: {error}") from error
    hint = "; it is a net_skeleton: take the net_weights beside it" if content else ""
    raise UserError(f"{path} is a pickle without weights{hint}")
