"""The files that hold nothing but arrays: .npz and .safetensors."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.weights.foreign import Pairs

_TYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": ml_dtypes.bfloat16, "BOOL": "?"}
_TYPES |= {f"{kind}{8 * size}": f"{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}


def read_npz(path: Path) -> Pairs:
    """Yield all arrays of a .npz by name; raises ValueError for one of objects."""
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            yield name, arrays[name]


def read_safetensors(path: Path) -> Pairs:
    """Yield the tensors of a state dict by name, floats as float32.

    The file is a head in JSON that says where each tensor lies, and the bytes. Raises ValueError
    for tensors that are not all there.
    """
    content = memoryview(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    head, content = json.loads(bytes(content[8:start])), content[start:]
    head.pop("__metadata__", None)
    for name, said in head.items():
        if said["dtype"].startswith("F8"):
            raise UserError(f"{path} holds numbers of type {said['dtype']}; give float16 or more")
        begin, end = said["data_offsets"]
        dtype = np.dtype(_TYPES[said["dtype"]]).newbyteorder("<")
        tensor = np.frombuffer(content[begin:end], dtype).reshape(said["shape"])
        yield name, tensor.astype(np.float32) if tensor.dtype.kind in "fV" else tensor
