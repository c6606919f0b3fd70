"""The reader of .npz files: it runs nothing that is in them, and checks the sizes they claim."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError

_MOST_BYTES = 4 << 30  # unpacked; this network's weights with all slots are 0.25 GB


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a .npz by name; raises UserError for a file that is damaged or no .npz."""
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
    """Read an array as numpy.load does, but compare the header's shape with the content first."""
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
