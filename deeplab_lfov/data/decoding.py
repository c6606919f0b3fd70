"""Pillow, called so that a damaged or hostile file ends in a UserError and in nothing else."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from deeplab_lfov.errors import UserError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
_ORIENTATION = 0x0112  # the EXIF tag


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Yield the picture in a file, its head read; no call of Pillow's belongs outside the block.

    Raises UserError when the file is missing or no picture, and as `decoding`.
    """
    with decoding(path):
        check_regular(path)
        # Given a name, Pillow may map a file into memory, and mixes up the rows of turned TIFFs.
        with Path(path).open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            yield picture


@contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """Raise UserError about the picture at `path` for whatever the block raises.

    Nothing of ours that may fail belongs inside, as it would look like a damaged file.
    """
    try:
        with within_memory(path):
            yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}", path) from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path} cannot be decoded as a picture: Pillow knows no such format", path
        ) from error
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS
        raise UserError(
            f"{path} claims more than {most:,} pixels; cut it into smaller pictures", path
        ) from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} cannot be decoded as a picture: {reason}", path) from error


@contextmanager
def within_memory(path: str | Path) -> Iterator[None]:
    """Raise UserError about the picture at `path` where the block runs out of memory."""
    try:
        yield
    except MemoryError as error:
        raise UserError(f"out of memory for {path}; cut it into smaller pictures", path) from error


def check_regular(path: str | Path) -> None:
    """Raise UserError for a pipe, a device or a folder: to open one may wait or read for ever.

    Raises OSError for what is not there.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise UserError(f"{path} is a folder, a pipe or a device; give a file", path)


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where there is none that can be read."""
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
        return orientation if orientation in range(2, 9) else 1
    except MemoryError:
        raise
    except Exception:  # Pillow's EXIF reader raises what it stumbles over, SyntaxError included
        return 1
