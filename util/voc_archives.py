"""The files in an archive or a folder, within bounds: what is downloaded may be made to harm.

tarfile does as an archive's headers say: it reads what they claim into memory, keeps all of them,
and follows one to the next by recursion. Here it takes single headers apart, and no more.
"""

import importlib
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from deeplab_lfov.data.decoding import check_regular

MOST_OF_A_FILE = 16 << 20
"""Bytes of a file that is read; the largest picture of VOC has less than a megabyte."""
MOST_IN_ALL = 8 << 30
"""Bytes that an archive may unpack to, passed over or not; VOC has 2 GB, SBD 1.5."""
MOST_MEMBERS = 500_000
"""Headers in an archive; VOC has 40,000."""

_BLOCK = 512
_MOST_TOLD = 1 << 16  # bytes of a header's addition, such as a long name
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_TOLD = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_CONTENT = set(tarfile.SUPPORTED_TYPES) - {*_FILES, *_TOLD}
_PACKED = {b"\x1f\x8b": "gzip", b"BZ": "bz2", b"\xfd7": "lzma"}
_OTHER_YEAR = re.compile(r"(?:^|/)VOC20(?!12)\d\d/")

Found = Iterator[tuple[str, Callable[[], bytes]]]


def files_in(source: Path) -> Found:
    """Yield every file's path with a function that reads it; other years of VOC are passed over.

    The function has to be called before the next file is asked for. Raises UserError for a pipe or
    a device, OSError for what is not there, and tarfile.ReadError for damage and for what is beyond
    the bounds, with the reason.
    """
    found = _in_folder(source) if source.is_dir() else _in_archive(source)
    yield from ((name, read) for name, read in found if not _OTHER_YEAR.search(name))


def read_file(path: Path) -> bytes:
    """Read a file as large as VOC's and SBD's may be; raises tarfile.ReadError for a larger one."""
    check_regular(path)
    with path.open("rb") as file:
        content = file.read(MOST_OF_A_FILE + 1)
    _check_size(path.name, len(content), MOST_OF_A_FILE)
    return content


def _in_folder(source: Path) -> Found:
    name = source.resolve().name
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        yield f"{name}/{path.relative_to(source).as_posix()}", lambda path=path: read_file(path)


def _in_archive(source: Path) -> Found:
    check_regular(source)
    with _unpacked(source) as file:
        stream, told = _Stream(file), {}
        for _ in range(MOST_MEMBERS):
            header = stream.read(_BLOCK)
            if not header.strip(b"\0"):
                stream.check_padding()
                return
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            if member.type in _TOLD:
                told |= _read_told(stream, member)
                continue
            name, size = _place(member, told)
            told, end = {}, stream.position + -(-size // _BLOCK) * _BLOCK
            if member.type in _FILES:
                yield name, lambda name=name, size=size: _read_member(stream, name, size)
            stream.skip_to(end)
    raise tarfile.ReadError(f"it has over {MOST_MEMBERS:,} members, and VOC 40,000")


def _unpacked(source: Path) -> BinaryIO:
    with source.open("rb") as file:
        module = _PACKED.get(file.read(2))
    try:
        return importlib.import_module(module).open(source) if module else source.open("rb")
    except ImportError as error:  # a Python may have been built without
        raise tarfile.ReadError(f"this Python cannot unpack it: {error}") from error


class _Stream:
    """An archive's content, read once from its begin to its end, in pieces and within bounds."""

    def __init__(self, file: BinaryIO):
        self._file, self.position = file, 0

    def read(self, size: int) -> bytes:
        """Read `size` bytes; raises tarfile.ReadError where there are no more."""
        content = self._read(size)
        if len(content) < size:
            raise tarfile.ReadError("it ends early")
        return content

    def skip_to(self, position: int) -> None:
        """Read on, and forget what there is."""
        while self.position < position:
            self.read(min(1 << 20, position - self.position))

    def check_padding(self) -> None:
        """Read to the end, where a .tgz has its checksum; raises tarfile.ReadError for content."""
        while content := self._read(1 << 20):
            if content.strip(b"\0"):
                raise tarfile.ReadError("there is more behind its end")

    def _read(self, size: int) -> bytes:
        try:
            content = self._file.read(size)
        except Exception as error:  # each format of packing has errors of its own
            raise tarfile.ReadError(str(error) or type(error).__name__) from error
        self.position += len(content)
        if self.position > MOST_IN_ALL:
            raise tarfile.ReadError(f"it unpacks to over {MOST_IN_ALL:,} bytes, and VOC to 2 GB")
        return content


def _read_told(stream: _Stream, member: tarfile.TarInfo) -> dict[str, bytes]:
    """Read what a header tells of the member behind it: its path and size, if they are there."""
    _check_size("a header", member.size, _MOST_TOLD)
    content = stream.read(-(-member.size // _BLOCK) * _BLOCK)[: member.size]
    if member.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": content.rstrip(b"\0")}
    return _pax(content) if member.type in _PAX else {}


def _pax(content: bytes) -> dict[str, bytes]:
    """Take records `length key=value` apart; the length counts all of its line."""
    told, start = {}, 0
    while start < len(content):
        number, gap, _ = content[start : start + 8].partition(b" ")
        if not gap or not number.isdigit() or int(number) <= len(number) + 1:
            raise tarfile.ReadError("a header in it is damaged")
        end = start + int(number)
        key, _, value = content[start + len(number) + 1 : end - 1].partition(b"=")
        if key.startswith(b"GNU.sparse"):
            told["sparse"] = b""
        elif key in (b"path", b"size"):
            told[key.decode()] = value
        start = end
    return told


def _place(member: tarfile.TarInfo, told: dict[str, bytes]) -> tuple[str, int]:
    """Return a member's path and the bytes of its content in the archive."""
    if member.type == tarfile.GNUTYPE_SPARSE or "sparse" in told:
        raise tarfile.ReadError("a file in it is stored with holes; pack it without --sparse")
    name, size = member.name, member.size
    if "path" in told:
        name = told["path"].decode("utf-8", "surrogateescape")
    if "size" in told:
        size = int(told["size"]) if re.fullmatch(rb"\d{1,20}", told["size"]) else -1
    if member.type in _WITHOUT_CONTENT:
        size = 0
    _check_size(name, size, MOST_IN_ALL)
    return name, size


def _read_member(stream: _Stream, name: str, size: int) -> bytes:
    _check_size(name, size, MOST_OF_A_FILE)
    return stream.read(size)


def _check_size(name: str, size: int, most: int) -> None:
    if not 0 <= size <= most:
        raise tarfile.ReadError(f"{name} has {size:,} bytes, and at most {most:,} are read")
