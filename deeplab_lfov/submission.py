"""The archive that VOC's test server takes: masks as palette PNGs in the devkit's folders."""

import io
import zipfile
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file, writable_folder
from deeplab_lfov.voc import PALETTE

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


class VocSubmission:
    """A zip file that is written while it is entered, whole or not at all: `add` masks to it.

    Raises UserError where `path` cannot be written or holds anything but an earlier submission.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.suffix.lower() != ".zip":
            raise UserError(f"{path} does not end in .zip; the test server takes zip files")
        if self.path.exists() and not _is_submission(self.path):
            raise UserError(f"{path} exists and is no earlier submission; save elsewhere")
        writable_folder(self.path.parent)

    def __enter__(self) -> "VocSubmission":
        self._file = whole_file(self.path)
        self._archive = zipfile.ZipFile(self._file.__enter__(), "w")
        return self

    def add(self, name: str, labels: np.ndarray) -> None:
        """Add the mask of the VOC id `name`, labels uint8 [H, W]."""
        picture = Image.fromarray(labels)
        picture.putpalette(PALETTE.tobytes())
        png = io.BytesIO()
        picture.save(png, "PNG")
        entry = zipfile.ZipInfo(f"{FOLDER}/{name}.png")  # dated 1980: the same masks, same bytes
        entry.external_attr = 0o644 << 16
        self._archive.writestr(entry, png.getvalue())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._archive.close()
        self._file.__exit__(kind, error, traceback)


def _is_submission(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.startswith(f"{FOLDER}/") for name in names)
