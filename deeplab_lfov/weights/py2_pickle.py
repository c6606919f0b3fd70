"""The reader of the first TensorFlow version's weights: Python 2 pickles of numpy arrays.

A pickle is a program. This reader runs it on a machine of its own, which can call nothing but the
stand-ins below. They look at every part of an array when they are given it, and run none of numpy's
own constructors before the sizes have been compared.
"""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.pickle_machine import Machine, Stateful

_DTYPES = ("f2", "f4", "f8")
_MOST_DIMENSIONS = 32
_MOST_SIZE = 1 << 40


class _Type(Stateful):
    """A stand-in for numpy.dtype that keeps the type's name and byte order."""

    def __init__(self, name: object = "", *_: object):
        if type(name) is not str or len(name) > 8:
            raise ValueError("an array's type has no short name")
        self.name, self.order = name, "<"

    def set_state(self, state: object) -> None:
        """Keep the byte order of what numpy would have been given."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("an array's type has no byte order")
        self.order = state[1]


class _Array(Stateful):
    """A stand-in for numpy.ndarray that keeps the state that numpy would have been given."""

    def __init__(self):
        self.dtype, self.shape, self.fortran, self.content = _Type(), (), False, b""

    def set_state(self, state: object) -> None:
        """Keep type, shape and content; raises ValueError unless each is flat and of its kind."""
        if type(state) is not tuple or len(state) != 5:
            raise ValueError("an array has no state of five parts")
        _, shape, dtype, fortran, content = state
        if type(dtype) is not _Type or type(content) not in (str, bytes, bytearray):
            raise ValueError("an array is not of floats")
        if type(fortran) not in (bool, int):
            raise ValueError("an array's order is no yes or no")
        if type(shape) is not tuple or len(shape) > _MOST_DIMENSIONS:
            raise ValueError("an array's shape is no short tuple")
        if not all(type(size) is int and 0 <= size < _MOST_SIZE for size in shape):
            raise ValueError("an array's shape is not of sizes")
        self.dtype, self.shape, self.fortran, self.content = dtype, shape, bool(fortran), content

    def numpy(self) -> np.ndarray:
        """Make the array; raises ValueError where shape, type and content do not agree."""
        if self.dtype.name not in _DTYPES:
            raise ValueError(f"an array is of type {self.dtype.name!r} and not of floats")
        dtype = np.dtype(self.dtype.order + self.dtype.name)
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        if math.prod(self.shape) * dtype.itemsize != len(content):
            raise ValueError(f"an array of shape {self.shape} has {len(content)} bytes")
        order = "F" if self.fortran else "C"
        values = np.frombuffer(content, dtype).reshape(self.shape, order=order)
        return values.astype(np.float32, copy=False)


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(content: object, dtype: object, shape: object, order: object) -> _Array:
    """Make what protocol 5 makes in one call, in place of state after state."""
    array = _Array()
    array.set_state((1, shape, dtype, order == "F", content))
    return array


class _Encoder:
    """What `_codecs.encode` is to a file: it encodes as many characters as the file has bytes."""

    def __init__(self, most: int):
        self._left = most

    def __call__(self, text: object, _: object) -> bytes:
        if type(text) is not str:
            raise ValueError("it encodes what is no text")
        self._left -= len(text)
        if self._left < 0:
            raise ValueError("it encodes more text than there is in it")
        return text.encode("latin1")


def _functions(size: int) -> dict[str, Callable[..., object]]:
    """Name all that a pickle of `size` bytes may call, as GLOBAL writes module and name."""
    return {
        "_codecs encode": _Encoder(size),  # how Python 3 writes bytes for Python 2
        "numpy.core.multiarray _reconstruct": _reconstruct,
        "numpy._core.multiarray _reconstruct": _reconstruct,
        "numpy.core.numeric _frombuffer": _from_buffer,
        "numpy._core.numeric _frombuffer": _from_buffer,
        "numpy ndarray": _reconstruct,
        "numpy dtype": _Type,
    }


def read_pickle(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a pickled dict {name: array}, float32.

    Raises UserError for a damaged file, for one that wants to call anything but numpy's array
    constructors, and with a hint for net_skeleton, which holds names and shapes only.
    """
    try:
        pickled = Path(path).read_bytes()
        content = Machine(_functions(len(pickled))).run(io.BytesIO(pickled))
        if type(content) is dict and all(type(array) is _Array for array in content.values()):
            if sum(len(array.content) for array in content.values()) > len(pickled):
                raise ValueError("its arrays share their bytes")
            return {name: array.numpy() for name, array in content.items()}
    # Each opcode of a damaged pickle fails in its own way, and nothing of ours runs but the above.
    except Exception as error:
        raise UserError(f"{path} is a damaged pickle: {error}") from error
    hint = "; it is a net_skeleton: take the net_weights beside it" if content else ""
    raise UserError(f"{path} is a pickle without weights{hint}")
