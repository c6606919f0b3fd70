"""Picture and mask files: decoding to arrays, and masks back to palette PNGs."""

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from deeplab_lfov.data.palette import VOC_PALETTE, Palette
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.files import whole_file
from deeplab_lfov.voc import PALETTE, VOID

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MOST_PIXELS = 10**9
"""The most that a picture may have; decoding takes 10 bytes each, and files may lie."""

SOFTWARE, DATA_SET = "deeplab_lfov", "deeplab_lfov data set"
"""What the PNGs written here name as their origin; only outputs, the first, are written over."""

_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 are turned by a quarter
_ORIENTED_WHEN_READ = ("PNG", "TIFF")  # EXIF data behind the pixels; turned by Pillow itself
_GREY_STEPS = {"L;2": 85, "L;4": 17}  # Pillow stretches these greys to 0 ... 255


def read_image(path: str | Path) -> np.ndarray:
    """Decode a picture of any mode to uint8 RGB [H, W, 3], as `read_picture` does."""
    return np.array(read_picture(path))


def read_picture(path: str | Path) -> Image.Image:
    """Decode a picture of any mode to Pillow's RGB, turned as its EXIF orientation says.

    Transparent pixels show white; 16-bit greys keep their upper byte.
    Raises UserError when the file is missing or no picture.
    """
    opened = _open(path)
    picture = opened.picture
    if opened.orientation != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        grey = np.clip(np.asarray(picture, np.int64), 0, 2**16 - 1) >> 8
        picture = Image.fromarray(grey.astype(np.uint8))
    elif picture.mode == "F":
        raise UserError(f"{path} holds floating-point pixels; convert it to 8 or 16 bits", path)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_mask(
    path: str | Path, num_classes: int, ignore_label: int = VOID, palette: Palette = VOC_PALETTE
) -> np.ndarray:
    """Decode a mask to labels uint8 [H, W]: 0 ... num_classes - 1, and VOID for ignore_label.

    Grey values and palette indices are the labels themselves; colours are looked up in `palette`.
    Label 255 is never a class. Raises UserError for a file that is missing or no picture, an
    unknown colour and a label that is neither a class nor ignore_label.
    """
    labels = _labels(path, palette)
    void = labels == ignore_label
    if palette is not VOC_PALETTE:  # it may have a colour for void
        void |= labels == VOID
    known = void | (labels < min(num_classes, VOID))
    if not known.all():
        wrong = np.unique(labels[~known])
        raise UserError(
            f"{path} holds labels that are neither a class (0 to {num_classes - 1}) nor void "
            f"({ignore_label}): {few(wrong, 5)}; correct the mask, num_classes or ignore_label"
        )
    labels = labels.astype(np.uint8)  # ignore_label may not fit, so void was found before
    labels[void] = VOID
    return labels


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) as `read_image` would find them, if possible from the head alone.

    Raises UserError when the file is missing or no picture.
    """
    picture, _, orientation = _open(path, pixels=False)
    if picture.format in _ORIENTED_WHEN_READ:
        return read_image(path).shape[:2]
    return picture.size if orientation >= 5 else picture.size[::-1]  # turned by a quarter


def mask_mode(path: str | Path) -> str:
    """Tell how a mask holds its labels: RGB, or by index as L, P, ...; raises UserError."""
    mode = _open(path, pixels=False).picture.mode
    return "RGB" if mode == "RGBA" else mode


def write_mask(path: str | Path, labels: np.ndarray, origin: str = SOFTWARE) -> None:
    """Write labels uint8 [H, W] as a palette PNG: indices inside, VOC colours to look at.

    Masks of a data set have an origin of their own, so that no prediction takes their place.
    Raises UserError as `write_png` does.
    """
    picture = Image.fromarray(labels)
    picture.putpalette(PALETTE.tobytes())
    write_png(path, picture, origin)


def write_png(path: str | Path, picture: Image.Image, origin: str = SOFTWARE) -> None:
    """Write a PNG, over an earlier output of this program but over no other file.

    Raises UserError when the place is taken or cannot be written.
    """
    check_replaceable(path)
    metadata = PngInfo()
    metadata.add_text("Software", origin)
    with whole_file(path) as partial:
        picture.save(partial, pnginfo=metadata)


def check_replaceable(path: str | Path) -> None:
    """Raise UserError unless `path` is free or holds a PNG that is an output of this program."""
    if Path(path).exists() and not is_output(path):
        raise UserError(f"{path} exists and is no output of this program; save elsewhere")


def is_output(path: str | Path) -> bool:
    """Tell whether a file is a PNG that says it is an output of this program."""
    try:
        return _open(path, pixels=False).picture.info.get("Software") == SOFTWARE
    except UserError:
        return False


class _Opened(NamedTuple):
    """A picture of Pillow's, and what has to be known of its file beside."""

    picture: Image.Image
    grey_step: int
    """What Pillow has multiplied greys of few bits by."""
    orientation: int
    """By EXIF; 1 is upright."""


def _open(path: str | Path, pixels: bool = True) -> _Opened:
    """Read a picture's head, and its pixels too unless they are not wanted.

    Raises UserError when the file is missing or no picture.
    """
    try:
        with _open_head(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            raw_mode = picture.tile[0][3] if picture.tile else None
            if pixels:
                picture.load()
            oriented = pixels or picture.format not in _ORIENTED_WHEN_READ
            orientation = _orientation(picture) if oriented else 1
            return _Opened(picture, _GREY_STEPS.get(raw_mode, 1), orientation)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}", path) from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path} claims more than {MOST_PIXELS:,} pixels; cut it into smaller pictures", path
        ) from error
    except MemoryError as error:
        raise UserError(f"out of memory for {path}; cut it into smaller pictures", path) from error
    # Pillow's decoders raise errors of many kinds on damaged files, and nothing of ours runs here.
    except Exception as error:
        raise UserError(f"{path} cannot be decoded as a picture: {error}", path) from error


def _open_head(path: str | Path) -> Image.Image:
    """Open a picture with our limit in place of Pillow's, which other callers keep."""
    with _limit_lock:
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS
        try:
            return Image.open(path, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


_limit_lock = threading.Lock()  # of Pillow's limit, which is one for all threads


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, where the EXIF data cannot be read."""
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's EXIF reader raises what it stumbles over, SyntaxError included
        return 1


def _labels(path: str | Path, palette: Palette) -> np.ndarray:
    picture, grey_step, _ = _open(path)
    pixels = np.asarray(picture)
    if picture.mode in ("RGB", "RGBA"):
        try:
            return palette.labels_of(pixels[..., :3])
        except UserError as error:
            raise UserError(
                f"{path} is an RGB mask with {error}; save masks as grey or palette PNGs that hold "
                "the labels, or name the colours with --palette"
            ) from error
    if picture.mode in ("LA", "PA"):
        return pixels[..., 0]
    if picture.mode in ("1", "L", "P"):
        return pixels.astype(np.uint8) // grey_step
    if picture.mode.startswith("I"):
        labels = pixels.astype(np.int64)
        if labels.min() < 0 or labels.max() >= 2**16:
            raise UserError(f"{path} holds labels from {labels.min()} to {labels.max()}")
        return labels
    raise UserError(f"{path} is a mask in mode {picture.mode}; save it as a grey or palette PNG")
