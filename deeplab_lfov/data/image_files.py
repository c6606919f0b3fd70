"""Picture and mask files: decoding to arrays, and masks back to palette PNGs."""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data.decoding import decoding, opened, orientation_of, within_memory
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.files import whole_file
from deeplab_lfov.voc import PALETTE, VOID

SOFTWARE, DATA_SET = "deeplab_lfov", "deeplab_lfov data set"
PREDICTED = "deeplab_lfov data set, predicted"  # a copy of a prediction in a data set
"""What the PNGs written here name as their origin; each is only written over its own kind."""

_ORIENTED_WHEN_READ = ("PNG", "TIFF")  # EXIF data behind the pixels; turned by Pillow itself
_LOSSY = ("JPEG", "MPO", "JPEG2000")
_GREY_STEPS = {"L;2": 85, "L;4": 17}  # Pillow stretches these greys to 0 ... 255
_PHOTOMETRIC = 262  # the TIFF tag; 0 is MinIsWhite
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation; 5 to 8 by a quarter."""


def read_image(path: str | Path) -> np.ndarray:
    """Decode a picture of any mode to uint8 RGB [H, W, 3], as `read_picture` does."""
    with opened(path) as picture:
        return np.array(_rgb(picture, path))


def pixels_of(picture: Image.Image) -> np.ndarray:
    """Turn a picture of Pillow's, of any mode, into uint8 RGB [H, W, 3], as `read_picture` does."""
    name = getattr(picture, "filename", "") or "the picture"
    with decoding(name):
        return np.array(_rgb(picture, name))


def read_picture(path: str | Path) -> Image.Image:
    """Decode a picture of any mode to Pillow's RGB, turned as its EXIF orientation says.

    Transparent pixels show white; 16-bit greys keep their upper byte; of several pictures in a file
    the first counts. Raises UserError when the file is missing or no picture.
    """
    with opened(path) as picture:
        return _rgb(picture, path)


def read_mask(
    path: str | Path, num_classes: int, ignore_label: int | None = None, palette: Classes = VOC
) -> np.ndarray:
    """Decode a mask to labels uint8 [H, W]: 0 ... num_classes - 1, and VOID for ignore_label.

    Grey values and palette indices are the labels themselves; colours are looked up in `palette`.
    ignore_label None means VOID, which is never a class. Raises UserError for a file that is
    missing or no picture, an unknown colour and a label that is neither a class nor ignore_label.
    """
    ignore_label = VOID if ignore_label is None else ignore_label
    with within_memory(path):
        labels = _labels(path, palette)
        void = labels == ignore_label
        if palette.names:  # it may have a colour for void
            void |= labels == VOID
        known = void | (labels < min(num_classes, VOID))
        if not known.all():
            raise UserError(
                f"{path} holds labels that are neither a class (0 to {num_classes - 1}) nor void "
                f"({ignore_label}): {few(np.unique(labels[~known]), 5)}; correct the mask, "
                "num_classes or ignore_label",
                path,
            )
        labels = labels.astype(np.uint8)  # ignore_label may not fit, so void was found before
        labels[void] = VOID
        return labels


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) as `read_image` would find them, if possible from the head alone."""
    with opened(path) as picture:
        if picture.format not in _ORIENTED_WHEN_READ:
            quarter = orientation_of(picture) >= 5
            return picture.size if quarter else picture.size[::-1]
    return read_image(path).shape[:2]


def mask_mode(path: str | Path) -> str:
    """Tell how a mask holds its labels: RGB, or by index as L, P, ...; raises UserError."""
    with opened(path) as picture:
        return "RGB" if picture.mode == "RGBA" else picture.mode


def write_mask(
    path: str | Path, labels: np.ndarray, origin: str = SOFTWARE, colors: np.ndarray = PALETTE
) -> None:
    """Write labels uint8 [H, W] as a palette PNG: indices inside, colours to look at.

    colors: uint8 RGB [256, 3], of every label. origin: DATA_SET for masks of a data set, so that
    no prediction takes their place. Raises UserError as `write_png` does.
    """
    picture = Image.fromarray(labels)
    picture.putpalette(colors.tobytes())
    write_png(path, picture, origin)


def write_png(path: str | Path, picture: Image.Image, origin: str = SOFTWARE) -> None:
    """Write a PNG, over one of the same origin but over no other file.

    Raises UserError when the place is taken or cannot be written.
    """
    check_replaceable(path, origin)
    metadata = PngInfo()
    metadata.add_text("Software", origin)
    with whole_file(path) as partial:
        picture.save(partial, pnginfo=metadata)


def check_replaceable(path: str | Path, origin: str = SOFTWARE) -> None:
    """Raise UserError unless `path` is free or holds a PNG of that origin."""
    if Path(path).exists() and not is_output(path, origin):
        raise UserError(f"{path} exists and is no output of this program; save elsewhere")


def is_output(path: str | Path, *origins: str) -> bool:
    """Tell whether a file is a PNG that says it is of one of the origins, or else of SOFTWARE."""
    try:
        with opened(path) as picture:
            return picture.info.get("Software") in (origins or (SOFTWARE,))
    except UserError:
        return False


def _rgb(picture: Image.Image, path: str | Path) -> Image.Image:
    picture.load()
    if (orientation := orientation_of(picture)) in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    if picture.mode.startswith("I"):
        grey = np.clip(np.asarray(picture, np.int64), 0, 2**16 - 1) >> 8
        picture = Image.fromarray(grey.astype(np.uint8))
    elif picture.mode == "F":
        raise UserError(f"{path} holds floating-point pixels; convert it to 8 or 16 bits", path)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _labels(path: str | Path, palette: Classes) -> np.ndarray:
    """Decode a mask to the labels as they are in the file: integers [H, W]."""
    mode, pixels = mask_pixels(path)
    if mode in ("RGB", "RGBA"):
        try:
            return palette.labels_of(pixels[..., :3])
        except UserError as error:
            raise UserError(
                f"{path} is an RGB mask with {error}; name its colours with --palette FILE, or voc "
                "for VOC's, or see util/prepare_data.py, which lists those of all masks",
                path,
            ) from error
    labels = pixels[..., 0] if mode in ("LA", "PA") else pixels
    if labels.ndim > 2 or mode == "F":
        raise UserError(f"{path} is a mask in mode {mode}; save it as a grey or palette PNG", path)
    if mode.startswith("I") and (labels.min() < 0 or labels.max() >= 2**16):
        raise UserError(f"{path} holds labels from {labels.min()} to {labels.max()}", path)
    return labels


def mask_colors(path: str | Path) -> np.ndarray:
    """Return the palette of a palette file, uint8 RGB [n, 3]; of any other picture, none."""
    with opened(path) as picture:
        colors = picture.getpalette("RGB") if picture.mode == "P" else None
    return np.array(colors or [], np.uint8).reshape(-1, 3)


def mask_pixels(path: str | Path) -> tuple[str, np.ndarray]:
    """Decode a mask to its mode and its pixels [H, W] or [H, W, C], greys as they are stored."""
    with opened(path) as picture:
        raw_mode, *more = raw_form(picture)
        is_tiff, fault = picture.format == "TIFF", ""
        if picture.format in _LOSSY:
            fault = "is a JPEG, which is lossy: its pixels are not the labels that were saved"
        elif raw_mode == "1;I" or (is_tiff and picture.tag_v2.get(_PHOTOMETRIC) == 0):
            fault = "stores white as 0 (PBM, MinIsWhite in TIFF), which programs read differently"
        if fault:
            raise UserError(f"{path} {fault}; save masks as PNG", path)
        picture.load()
        pixels = np.asarray(picture)
        if picture.format == "PPM" and more and picture.mode in ("L", "I"):
            stretched = 255 if picture.mode == "L" else 65535  # to which Pillow brings its maximum
            pixels = np.rint(pixels * (more[0] / stretched)).astype(pixels.dtype)
        elif picture.mode in ("1", "L", "P"):
            pixels = pixels.astype(np.uint8) // _GREY_STEPS.get(raw_mode[:3], 1)
        return picture.mode, pixels


def raw_form(picture: Image.Image) -> tuple[str | int, ...]:
    """Return Pillow's name of how the pixels are stored, such as L;4, and what else it says."""
    form = picture.tile[0][3] if picture.tile else ""
    name, *more = form if isinstance(form, tuple) and form else (form,)
    return str(name), *more
