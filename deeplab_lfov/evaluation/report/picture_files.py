"""The pictures beside a report's page: small copies of each picture, its truth and its errors."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_lfov.data.decoding import opened
from deeplab_lfov.data.image_files import SOFTWARE, is_output, read_picture, write_png
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file, writable_folder
from deeplab_lfov.voc import VOID

SIDE = 512
"""Most pixels of a small copy's longer side."""

_FOLDER = re.compile(r"pictures-(\d+)")
_FILE = re.compile(r"\d+(\.jpg|-(truth|prediction|errors)\.png)")
_RIGHT, _WRONG, _STRIPE = range(3)
_ERROR_COLORS = np.array([[0, 0, 0], [214, 58, 40], [205, 205, 205]], np.uint8)
_ERROR_ALPHA = bytes([0, 255, 255])


class PictureFiles:
    """A folder `pictures-<n>` that no earlier report of the folder has, for one to be written.

    The page names it, so that the earlier page has its own pictures until it is replaced. colors:
    uint8 RGB [256, 3], of every label. Methods raise UserError where a file cannot be written.
    """

    def __init__(self, report: Path, colors: np.ndarray):
        numbers = [int(match.group(1)) for _, match in _earlier(report)]
        self.folder = report / f"pictures-{max(numbers, default=0) + 1}"
        self._colors = colors

    def write(self, number: int, path: Path, truth: np.ndarray, prediction: np.ndarray) -> str:
        """Write a picture from its file and its small labels, and return the files' common name.

        number: its place in the list; truth and prediction: uint8 [h, w], as `small` made them.
        """
        writable_folder(self.folder)
        name = f"{number + 1:06d}"
        picture = read_picture(path).resize(truth.shape[::-1], Image.Resampling.BILINEAR)
        with whole_file(self.folder / f"{name}.jpg") as partial:
            picture.save(partial, "JPEG", quality=85, comment=SOFTWARE.encode())
        for kind, labels in (("truth", truth), ("prediction", prediction)):
            mask = Image.fromarray(labels)
            mask.putpalette(self._colors.tobytes())
            write_png(self.folder / f"{name}-{kind}.png", mask)
        write_png(self.folder / f"{name}-errors.png", _errors(truth, prediction))
        return name

    def remove_others(self) -> None:
        """Remove the pictures of earlier reports, and of one that was killed."""
        for folder, _ in _earlier(self.folder.parent):
            if folder == self.folder:
                continue
            for file in folder.iterdir():
                if _FILE.fullmatch(file.name) and _is_ours(file):
                    file.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def small(labels: np.ndarray) -> np.ndarray:
    """Shrink labels uint8 [H, W] to a longer side of SIDE pixels at most, by the nearest pixel."""
    picture = Image.fromarray(labels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return np.asarray(picture)


def _earlier(report: Path) -> list[tuple[Path, re.Match]]:
    matches = ((path, _FOLDER.fullmatch(path.name)) for path in report.iterdir() if path.is_dir())
    return [(path, match) for path, match in matches if match]


def _is_ours(file: Path) -> bool:
    if file.suffix == ".png":
        return is_output(file)
    with suppress(UserError), opened(file) as picture:
        return picture.info.get("comment") == SOFTWARE.encode()
    return False


def _errors(truth: np.ndarray, prediction: np.ndarray) -> Image.Image:
    """Draw wrong pixels red and void striped, the rest transparent, to lie over the picture."""
    rows, columns = np.indices(truth.shape)
    striped = (truth == VOID) & ((rows + columns) // 3 % 2 == 0)
    wrong = (truth != prediction) & (truth != VOID)
    kinds = np.select([striped, wrong], [_STRIPE, _WRONG], _RIGHT).astype(np.uint8)
    picture = Image.fromarray(kinds)
    picture.putpalette(_ERROR_COLORS.tobytes())
    picture.info["transparency"] = _ERROR_ALPHA
    return picture
