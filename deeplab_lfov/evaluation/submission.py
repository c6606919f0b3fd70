"""The archive that VOC's test server takes: masks as palette PNGs in the devkit's folders."""

import contextlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import clear_partials, whole_file, writable_folder
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
        if self.path.exists() and not (self.path.is_file() and _is_submission(self.path)):
            raise UserError(f"{path} exists and is no earlier submission; save elsewhere")
        writable_folder(self.path.parent)
        target = self.path.resolve()
        clear_partials(target.parent, target.name)

    def __enter__(self) -> "VocSubmission":
        with contextlib.ExitStack() as stack:
            partial = stack.enter_context(whole_file(self.path))
            self._archive = stack.enter_context(zipfile.ZipFile(partial, "w"))
            self._opened = stack.pop_all()
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
        self._opened.__exit__(kind, error, traceback)


def check_ids(ids: Iterable[str]) -> None:
    """Raise UserError for an id that comes twice, as it names one file of the archive."""
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise UserError(
                f"two pictures of the list have the id {name}, and the test server takes one mask "
                "of each; leave one out"
            )
        seen.add(name)


def _is_submission(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.startswith(f"{FOLDER}/") for name in names)
