"""Report: what evaluate.py --report writes, index.html and the pictures beside it."""

import itertools
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.boundary_f1 import BoundaryF1
from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.evaluation.per_picture import PerPicture
from deeplab_lfov.evaluation.report.page import page
from deeplab_lfov.evaluation.report.picture_files import PictureFiles, small
from deeplab_lfov.evaluation.trimap import TrimapMatrices
from deeplab_lfov.files import whole_file, writable_folder

GENERATOR = b'<meta name="generator" content="deeplab_lfov">'


class Seen(NamedTuple):
    """A picture: its name, (height, width) of its small copy, and where that is.

    file: the common name of its files; None of one that another worker has, whose masks are `masks`
    here: the small labels of truth and prediction, compressed.
    """

    name: str
    size: tuple[int, int]
    file: str | None
    masks: bytes = b""


class Report:
    """Collects pictures with `add`, and writes the page about them to <folder>/index.html.

    classes: their names and colours; numbers: the places in the list of the pictures that are
    added, by default all from the first on; writes: whether this worker does, or only sends its
    pictures to the one that does. Raises UserError where that cannot be written, or is no earlier
    report.
    """

    def __init__(
        self,
        folder: str | Path,
        classes: Classes,
        numbers: Iterable[int] | None = None,
        writes: bool = True,
    ):
        self.classes, self._writes = classes, writes
        self._numbers = itertools.count() if numbers is None else iter(numbers)
        self.path = writable_folder(folder) / "index.html"
        if self.path.exists() and not _is_report(self.path):
            raise UserError(f"{self.path} exists and is no earlier report; choose another folder")
        self._files = PictureFiles(self.path.parent, classes.table)
        self.seen: list[Seen] = []

    def add(self, name: str, path: Path, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Write small copies of a picture and its labels uint8 [H, W], or keep them for `gather`.

        Raises UserError when they cannot be written or the picture has gone.
        """
        labels = np.stack([small(truth), small(prediction)])
        if self._writes:
            file = self._files.write(next(self._numbers), path, *labels)
            self.seen.append(Seen(name, labels.shape[1:], file))
        else:
            masks = zlib.compress(labels.tobytes(), 1)
            self.seen.append(Seen(name, labels.shape[1:], None, masks))

    def gather(self, samples: Sequence[Sample], replicas: Replicas) -> None:
        """Learn of the pictures that other workers have added; every one has to call it.

        This worker has added those of `samples`, the whole list, that `replicas.share` gives it.
        Raises WorkerGoneError, and UserError as `add` does.
        """
        mine = dict(zip(replicas.share(range(len(samples))), self.seen, strict=True))
        sizes, written = np.zeros((len(samples), 2), np.int64), np.zeros(len(samples), np.int64)
        for number, seen in mine.items():
            sizes[number], written[number] = seen.size, seen.file is not None
        sizes, written = replicas.sum(sizes), replicas.sum(written)
        for number, sample in enumerate(samples):
            if not written[number]:
                labels = _exchanged(mine.get(number), tuple(sizes[number].tolist()), replicas)
                file = self._files.write(number, sample.image, *labels) if self._writes else None
                mine[number] = Seen(sample.name, labels.shape[1:], file)
        self.seen = [mine[number] for number in range(len(samples))] if self._writes else self.seen

    def write(
        self,
        matrix: ConfusionMatrix,
        pictures: PerPicture,
        facts: dict[str, str],
        trimap: TrimapMatrices | None = None,
        bf: BoundaryF1 | None = None,
    ) -> Path:
        """Write the page and return its path; facts say where the numbers come from.

        The pictures of an earlier report go when theirs has its place. Raises UserError when it
        cannot be written.
        """
        known = {"folder": self._files.folder.name, "pictures": self._pictures(pictures)}
        with whole_file(self.path) as partial:
            text = page(matrix, self.classes, known, facts, trimap, bf)
            partial.write_text(text, encoding="utf-8")
        self._files.remove_others()
        return self.path

    def _pictures(self, pictures: PerPicture) -> list[dict[str, object]]:
        ious = [pictures.matrix(number).mean_iou for number in range(len(self.seen))]
        return [
            {
                "name": seen.name,
                "file": seen.file,
                "size": seen.size,
                "iou": None if np.isnan(iou) else round(iou, 5),
                "cells": cells.ravel().tolist(),
            }
            for seen, iou, cells in zip(self.seen, ious, pictures.cells, strict=True)
        ]


def _exchanged(mine: Seen | None, size: tuple[int, int], replicas: Replicas) -> np.ndarray:
    """Return the small labels of a picture that one of the workers has, uint8 [2, h, w].

    Four of them go as a number of 32 bits, as workers can only add up numbers.
    """
    length = 2 * size[0] * size[1]
    labels = zlib.decompress(mine.masks) if mine else bytes(length)
    packed = np.frombuffer(labels + bytes(-length % 4), np.int32)
    received = replicas.sum(packed).tobytes()[:length]
    return np.frombuffer(received, np.uint8).reshape(2, *size)


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR in file.read(1000)
