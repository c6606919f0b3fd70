"""The reader of .safetensors: a head in JSON that says where each tensor lies, and the bytes."""

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np

from deeplab_lfov.errors import UserError

_MOST_HEAD = 4 << 20  # bytes; the format allows 100 MB, a network's has 10 kB
_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.bool_,
}


def is_safetensors(head: bytes, size: int) -> bool:
    """Tell by the first nine bytes of a file of `size` bytes whether it is one."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors by name, floats as float32; raises UserError for a file that is damaged."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_MOST_HEAD, path.stat().st_size):
                raise ValueError(f"its head is said to have {length:,} bytes")
            head, content = json.loads(file.read(length)), file.read()
        head.pop("__metadata__", None)
        _check_places([each["data_offsets"] for each in head.values()], len(content))
        return {name: _array(each, content) for name, each in head.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is a damaged .safetensors: {error!r}"[:300]) from error


def _check_places(places: list[list[int]], size: int) -> None:
    """Raise ValueError unless the tensors lie one behind the other and fill the file."""
    end = 0
    for start, stop in sorted(places):
        if type(start) is not int or type(stop) is not int or start != end or stop < start:
            raise ValueError("its tensors do not lie one behind the other")
        end = stop
    if end != size:
        raise ValueError(f"its tensors have {end:,} bytes and it holds {size:,}")


def _array(what: dict, content: bytes) -> np.ndarray:
    dtype, shape = np.dtype(_TYPES[what["dtype"]]).newbyteorder("<"), what["shape"]
    start, stop = what["data_offsets"]
    if not all(type(side) is int and 0 <= side <= 1 << 40 for side in shape) or len(shape) > 32:
        raise ValueError("a shape is not of sizes")
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise ValueError(f"a tensor of {shape} has {stop - start} bytes")
    values = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
    return values.astype(np.float32) if dtype.kind in "fV" else np.array(values)
