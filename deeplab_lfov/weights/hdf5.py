"""Guarded access to HDF5: what is read is in the file itself, and in proportion to its size.

The format can refer to other files, in links and in datasets, and packs a thousand bytes into one.
"""

import math
import mmap
import zlib
from pathlib import Path

import h5py
import numpy as np

_MOST_NAMES = 100  # VGG16 has 23 layers
_MOST_NAME_BYTES = 1000
_HEAP, _HEAP_HEADER = b"GCOL\1", 16  # how a heap begins; bytes before it and each thing in it
_MOST_HEAP, _MOST_HEAPS = 1 << 20, 100
_MOST_SOFT_LINKS = 8  # on the way to one thing; one can lead to itself
_BYTES_PER_CHUNK = 1 << 12  # that it counts for, as finding one takes time
_MOST_CHUNKS = 10_000  # of one dataset that is packed
_FREE_BYTES, _MOST_RATIO = 64 << 20, 20  # trained weights hardly pack, small arrays of zeros do
_FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE}


def open_in(group: h5py.Group, path: str, soft_links: int = _MOST_SOFT_LINKS) -> h5py.HLObject:
    """Open what a path means, link by link; raises ValueError at a link to another file."""
    for part in path.split("/"):
        if part in ("", "."):
            continue
        link = group.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{part} is a link to another file")
        if link is None:
            raise ValueError(f"there is no {part}")
        if isinstance(link, h5py.SoftLink):
            if not soft_links:
                raise ValueError(f"{part} is a link to links without end")
            start = group.file["/"] if link.path.startswith("/") else group
            group = open_in(start, link.path, soft_links - 1)
        else:
            group = group[part]
    return group


def has(group: h5py.Group, name: str) -> bool:
    """Tell whether a group has a link of that name, wherever it leads."""
    return group.get(name, getlink=True) is not None


def names_in(group: h5py.Group) -> list[str]:
    """List a group's links; raises ValueError for too many."""
    if len(group) > _MOST_NAMES:
        raise ValueError(f"{group.name} has {len(group)} entries")
    return list(group)


def names_of(group: h5py.Group, attribute: str) -> list[str]:
    """Read an attribute that lists names; raises ValueError for anything else."""
    stored = group.attrs.get_id(attribute)
    count = math.prod(stored.shape)
    if not count:
        return []
    if not h5py.check_string_dtype(stored.dtype) or count > _MOST_NAMES:
        raise ValueError(f"{attribute} is no list of up to {_MOST_NAMES} names")
    names = [_text(name) for name in np.ravel(group.attrs[attribute]).tolist()]
    if max(map(len, names)) > _MOST_NAME_BYTES:
        raise ValueError(f"{attribute} has a name of more than {_MOST_NAME_BYTES} bytes")
    return names


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def check_heaps(path: str | Path) -> None:
    """Raise ValueError for a file with long texts: each of many names may be the same megabytes.

    The library gives a list of texts as a whole or not at all, so that their lengths are not known
    before; all are in heaps, and no longer than their heap. A damaged heap it reads without end.
    """
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        sizes = content[13:15] if content[8:9] < b"\2" else content[9:11]
        if content[:4] != b"\x89HDF" or sizes != b"\x08\x08":
            raise ValueError("it is no HDF5 file, or one of a rare kind")
        place = content.find(_HEAP)
        for _ in range(_MOST_HEAPS):
            if place < 0:
                return
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            if size > _MOST_HEAP:
                raise ValueError(f"it has texts of more than {_MOST_HEAP} bytes")
            _check_heap(content[place : place + size])
            place = content.find(_HEAP, place + 1)
    raise ValueError(f"it has texts in more than {_MOST_HEAPS} places")


def _check_heap(heap: bytes) -> None:
    """Raise ValueError unless each thing in a heap is followed by the next, to the end."""
    place = _HEAP_HEADER
    while place + _HEAP_HEADER <= len(heap):
        number = int.from_bytes(heap[place : place + 2], "little")
        size = int.from_bytes(heap[place + 8 : place + 16], "little")
        step = _HEAP_HEADER + (size + 7) // 8 * 8 if number else size  # 0 is what is free
        if step < _HEAP_HEADER or place + step > len(heap):
            raise ValueError("a list of texts in it is damaged")
        place += step


class Datasets:
    """A reader of a file's datasets that gives out about as much as the file is large."""

    def __init__(self, path: str | Path):
        self._left = _FREE_BYTES + _MOST_RATIO * Path(path).stat().st_size

    def read(self, dataset: h5py.HLObject) -> np.ndarray:
        """Read a dataset of floats.

        Raises ValueError where it is none, in other files, packed in rare ways, or larger than
        what is stored.
        """
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{dataset.name} is no dataset")
        created = dataset.id.get_create_plist()
        # Before anything else is asked: the size of a virtual dataset may depend on other files.
        if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
            raise ValueError(f"{dataset.name} is stored in another file")
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8:
            raise ValueError(f"{dataset.name} is not of floats")
        self._take(dataset)
        filters = {created.get_filter(number)[0] for number in range(created.get_nfilters())}
        if filters:
            _check_packed(dataset, filters)
        return dataset[()]

    def _take(self, dataset: h5py.Dataset) -> None:
        """Count a dataset's bytes; raises ValueError where they, or all so far, are too many."""
        stored = dataset.id.get_storage_size()
        if dataset.nbytes > (1000 if dataset.chunks else 1) * stored:
            raise ValueError(
                f"{dataset.name} is said to be {dataset.nbytes} bytes; {stored} are there"
            )
        chunks = dataset.id.get_num_chunks() if dataset.chunks else 0
        self._left -= max(dataset.nbytes, _chunk_bytes(dataset)) + chunks * _BYTES_PER_CHUNK
        if self._left < 0:
            raise ValueError("its datasets are many times larger than the file")


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize


def _check_packed(dataset: h5py.Dataset, filters: set[int]) -> None:
    """Raise ValueError unless each chunk unpacks to its size: the library unpacks to any size."""
    if not filters <= _FILTERS:
        raise ValueError(f"{dataset.name} is packed in a way other than gzip")
    count, size = dataset.id.get_num_chunks(), _chunk_bytes(dataset)
    if count > _MOST_CHUNKS:
        raise ValueError(f"{dataset.name} is in {count} pieces")
    for number in range(count):
        chunk = dataset.id.get_chunk_info(number)
        if chunk.size > 2 * size + 1024:
            raise ValueError(f"a piece of {dataset.name} is longer than what it unpacks to")
        skipped, content = dataset.id.read_direct_chunk(chunk.chunk_offset)
        if h5py.h5z.FILTER_DEFLATE in filters and not skipped:
            content = zlib.decompressobj().decompress(content, size + 1)
        if len(content) != size:
            raise ValueError(f"a piece of {dataset.name} does not unpack to {size} bytes")
