"""The reader of .npz files: it runs nothing that is in them, and checks the sizes they claim."""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError, shortened

_MOST_BYTES = 4 << 30  # unpacked; this network's weights with all slots are 0.25 GB
_MOST_MEMBERS = 10_000
_MOST_DIRECTORY = 4 << 20  # bytes of the table of members, which zipfile makes objects of
_MOST_RATIO = 1040  # deflate packs no tighter than 1032 to 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the two of numpy, and the two with a limit
_ENCRYPTED = 1
_KINDS = "biufSU"  # numbers and text: no objects, and no structures of structures


class _Archive(io.FileIO):
    """A zip file that gives no more than the limit in one piece before its members are known."""

    most = _MOST_DIRECTORY

    def read(self, size: int = -1) -> bytes:
        """Read as any file does; raises ValueError for more than the limit."""
        if self.most is not None and size > self.most:
            raise ValueError(f"its table of members is said to be {size} bytes")
        return super().read(size)


@contextmanager
def members_of(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Give a zip file and its members by name; raises what zipfile raises, and ValueError.

    The latter for members that cannot be unpacked within the limits, each for a name.
    """
    with _Archive(path) as file, zipfile.ZipFile(file) as archive:
        file.most = None
        members = archive.infolist()
        _check(members)
        yield archive, {member.filename: member for member in members}


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a .npz by name; raises UserError for a file that is damaged or no .npz."""
    try:
        with members_of(path) as (archive, members):
            return {_name(each): _read_npy(unpack(archive, each)) for each in members.values()}
    # zipfile, zlib and numpy's header parser each have errors of their own for damaged files.
    except Exception as error:
        raise UserError(
            f"{path} is damaged or no .npz of arrays: {shortened(str(error), 300)}"
        ) from error


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _check(members: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError unless all members can be unpacked within the limits, each for a name."""
    if len(members) > _MOST_MEMBERS or sum(m.file_size for m in members) > _MOST_BYTES:
        raise ValueError(f"it would unpack to more than {_MOST_BYTES >> 30} GiB or 10,000 arrays")
    names = set()
    for member in members:
        name = _name(member)
        if name in names:
            raise ValueError(f"it holds two arrays {name}")
        names.add(name)
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{name} is encrypted")
        if member.compress_type not in _METHODS:
            raise ValueError(f"{name} is packed in a way that numpy does not write")
        if member.file_size > _MOST_RATIO * member.compress_size:
            raise ValueError(f"{name} is said to unpack to {member.file_size} bytes")


def unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member, and never more than its header says."""
    with archive.open(member) as stream:
        # Without a size, read() would unpack all that is there before it looks at the header's.
        content = stream.read(member.file_size)
    if len(content) != member.file_size:
        raise ValueError(f"{_name(member)} does not unpack to {member.file_size} bytes")
    return content


def _read_npy(content: bytes) -> np.ndarray:
    """Read an array as numpy.load does, but compare the header's shape with the content first."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in _KINDS:
        raise ValueError("an array holds neither numbers nor text")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array of {dtype} {shape} has {len(content) - stream.tell()} bytes")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")
