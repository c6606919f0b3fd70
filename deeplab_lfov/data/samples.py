"""Samples: the pictures and masks of a list, of which a million take some 100 MB."""

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """One line of a list: the picture's path, and the mask's where it has one."""

    image: Path
    mask: Path | None

    @property
    def name(self) -> str:
        """The picture's file name without its suffix: the VOC id."""
        return self.image.stem


class Samples(Sequence[Sample]):
    """A list's lines, in order; a Sample, whose paths take a kilobyte, is made when asked for.

    folder: what the names that are added count from, unless they are absolute.
    """

    def __init__(self, folder: Path):
        self._folder, self._names = str(folder), bytearray()
        self._ends, self._chosen = array("Q", [0]), None

    def add(self, image: str, mask: str | None) -> None:
        """Add a line by the names of its files."""
        for name in (image, mask or ""):
            self._names += os.fsencode(name)
            self._ends.append(len(self._names))

    def __len__(self) -> int:
        return (len(self._ends) - 1) // 2 if self._chosen is None else len(self._chosen)

    def __getitem__(self, number: int | slice) -> "Sample | Samples":
        chosen = range(len(self)) if self._chosen is None else self._chosen
        if isinstance(number, slice):
            part = Samples(Path(self._folder))
            part._names, part._ends, part._chosen = self._names, self._ends, chosen[number]
            return part
        image, mask = self._files(chosen[number])
        return Sample(Path(image), Path(mask) if mask else None)

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the paths of each line's picture and mask as text, quickly; '' is no mask."""
        numbers = range(len(self)) if self._chosen is None else self._chosen
        return map(self._files, numbers)

    def names(self) -> Iterator[str]:
        """Yield the names of each line's picture and mask, without folders."""
        for image, mask in self.files():
            yield f"{image[image.rfind('/') + 1 :]} {mask[mask.rfind('/') + 1 :]}"

    def _files(self, number: int) -> tuple[str, str]:
        first, middle, last = self._ends[2 * number : 2 * number + 3]
        image = os.fsdecode(bytes(self._names[first:middle]))
        mask = os.fsdecode(bytes(self._names[middle:last]))
        return self._path(image), mask and self._path(mask)

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else f"{self._folder}/{name}"
