"""Report: what evaluate.py --report writes, index.html and the pictures beside it."""

from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.metrics import PerPicture, none_if_nan
from deeplab_lfov.evaluation.report.page import page
from deeplab_lfov.evaluation.report.picture_files import PictureFiles, small
from deeplab_lfov.files import whole_file, writable_folder

GENERATOR = b'<meta name="generator" content="deeplab_lfov">'


class Report:
    """Collects pictures with `add`, and writes the page about them to <folder>/index.html.

    classes: their names and colours. Raises UserError where that cannot be written, or is no
    earlier report.
    """

    def __init__(self, folder: str | Path, classes: Classes):
        self.classes = classes
        self.path = writable_folder(folder) / "index.html"
        if self.path.exists() and not _is_report(self.path):
            raise UserError(f"{self.path} exists and is no earlier report; choose another folder")
        self._files = PictureFiles(self.path.parent, classes.table)
        self.copies: list[tuple[str, tuple[int, int]]] = []
        """Of each picture, the common name of its files and their (height, width)."""

    def add(self, path: Path, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Write small copies of a picture and its labels uint8 [H, W].

        Raises UserError when they cannot be written or the picture has gone.
        """
        labels = small(truth), small(prediction)
        file = self._files.write(len(self.copies), path, *labels)
        self.copies.append((file, labels[0].shape))

    def write(
        self,
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
            text = page(pictures.whole, self.classes, known, facts, trimap, bf)
            partial.write_text(text, encoding="utf-8")
        self._files.remove_others()
        return self.path

    def _pictures(self, pictures: PerPicture) -> list[dict[str, object]]:
        ious = [none_if_nan(iou) for iou in pictures.mean_ious()]
        each = zip(pictures.names, self.copies, ious, pictures.cells, strict=True)
        return [
            {
                "name": name,
                "file": file,
                "size": size,
                "iou": iou and round(iou, 5),
                "cells": cells.ravel().tolist(),
            }
            for name, (file, size), iou, cells in each
        ]


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR in file.read(1000)
