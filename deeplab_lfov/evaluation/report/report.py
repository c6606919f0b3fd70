"""Report: what evaluate.py --report writes, index.html and small copies of the pictures."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.decoding import opened
from deeplab_lfov.data.image_files import SOFTWARE, is_output, read_picture, write_png
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.metrics import PerPicture, none_if_nan
from deeplab_lfov.evaluation.report.page import page
from deeplab_lfov.files import whole_file, writable_folder
from deeplab_lfov.voc import VOID

SIDE = 512  # most pixels of a small copy's longer side

GENERATOR = b'<meta name="generator" content="deeplab_lfov">'

_FILE = re.compile(r"\d+(\.jpg|-(truth|prediction|errors)\.png)")


class Report:
    """Collects pictures with `add`, and writes the page about them to <folder>/index.html.

    The copies go to a folder `pictures-<n>` that is new: the page names it, so that an earlier page
    has its own pictures until it is replaced. classes: their names and colours. Raises UserError
    where something cannot be written, or index.html is no earlier report.
    """

    def __init__(self, folder: str | Path, classes: Classes):
        self.classes = classes
        self.path = writable_folder(folder) / "index.html"
        is_file = self.path.is_file()
        if self.path.exists() and not (is_file and GENERATOR in self.path.read_bytes()):
            raise UserError(f"{self.path} exists and is no earlier report; choose another folder")
        numbers = (int(path.name.removeprefix("pictures-")) for path in self._folders())
        self.folder = self.path.with_name(f"pictures-{max(numbers, default=0) + 1}")
        self.copies: list[tuple[str, tuple[int, int]]] = []
        """Of each picture, the common name of its files and their (height, width)."""

    def add(self, path: Path, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Write small copies of a picture and its labels uint8 [H, W].

        Raises UserError when they cannot be written or the picture has gone.
        """
        writable_folder(self.folder)
        truth, prediction = _small(truth), _small(prediction)
        name = f"{len(self.copies) + 1:06d}"
        picture = read_picture(path).resize(truth.shape[::-1], Image.Resampling.BILINEAR)
        with whole_file(self.folder / f"{name}.jpg") as partial:
            picture.save(partial, "JPEG", quality=85, comment=SOFTWARE.encode())
        for kind, labels in (("truth", truth), ("prediction", prediction)):
            mask = Image.fromarray(labels)
            mask.putpalette(self.classes.table.tobytes())
            write_png(self.folder / f"{name}-{kind}.png", mask)
        write_png(self.folder / f"{name}-errors.png", _errors(truth, prediction))
        self.copies.append((name, truth.shape))

    def write(
        self,
        pictures: PerPicture,
        facts: dict[str, str],
        trimap: TrimapMatrices | None = None,
        bf: BoundaryF1 | None = None,
    ) -> Path:
        """Write the page, remove earlier reports' pictures, and return the page's path.

        facts: where the numbers come from. Raises UserError when it cannot be written.
        """
        ious = [none_if_nan(iou) for iou in pictures.mean_ious()]
        each = zip(pictures.names, self.copies, ious, pictures.cells, strict=True)
        shown = [
            {
                "name": name,
                "file": file,
                "size": size,
                "iou": iou and round(iou, 5),
                "cells": cells.ravel().tolist(),
            }
            for name, (file, size), iou, cells in each
        ]
        known = {"folder": self.folder.name, "pictures": shown}
        text = page(pictures.whole, self.classes, known, facts, trimap, bf)
        with whole_file(self.path) as partial:
            partial.write_text(text, encoding="utf-8")
        for folder in self._folders():
            if folder != self.folder:
                _remove_copies(folder)
        return self.path

    def _folders(self) -> list[Path]:
        folders = (path for path in self.path.parent.iterdir() if path.is_dir())
        return [path for path in folders if re.fullmatch(r"pictures-\d+", path.name)]


def _remove_copies(folder: Path) -> None:
    for file in folder.iterdir():
        if _FILE.fullmatch(file.name) and (is_output(file) or _is_copy(file)):
            file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_copy(file: Path) -> bool:
    try:
        with opened(file) as picture:
            return picture.info.get("comment") == SOFTWARE.encode()  # of a JPEG
    except UserError:
        return False


def _small(labels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(labels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return np.asarray(picture)


def _errors(truth: np.ndarray, prediction: np.ndarray) -> Image.Image:
    """Draw wrong pixels red, void striped and the rest transparent."""
    rows, columns = np.indices(truth.shape)
    striped = (truth == VOID) & ((rows + columns) // 3 % 2 == 0)
    wrong = (truth != prediction) & (truth != VOID)
    picture = Image.fromarray(np.select([wrong, striped], [1, 2]).astype(np.uint8))
    picture.putpalette([0, 0, 0, 214, 58, 40, 205, 205, 205])
    picture.info["transparency"] = bytes([0, 255, 255])
    return picture
