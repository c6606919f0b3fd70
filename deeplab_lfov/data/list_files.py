"""List files: which picture goes with which mask."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from deeplab_lfov.data.decoding import opened, orientation_of
from deeplab_lfov.errors import UserError, few

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
"""Names with one of these endings are pictures; a lone name without is a VOC id."""
IMAGE_FOLDER = "JPEGImages"
MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
"""VOC's folders, for lines that are a bare id; the first that holds the mask is taken."""

_VOC_LISTS = {
    "train": "ImageSets/Segmentation/train_aug.txt",
    "val": "ImageSets/Segmentation/val.txt",
}

_LONGEST = 10_000  # characters of a line; two paths of Linux have 8,192 at most
_LARGEST = 100 * 10**6  # bytes of a text file; a list of a million pictures has 60 MB


class Sample(NamedTuple):
    """One line of a list: the picture's path, and the mask's where it has one."""

    image: Path
    mask: Path | None

    @property
    def name(self) -> str:
        """The picture's file name without its suffix: the VOC id."""
        return self.image.stem


def own_list(data_dir: str | Path, split: str) -> str | None:
    """Return the name of the folder's own list of a split, such as train.txt, if it is there."""
    name = f"{split}.txt"
    return name if Path(data_dir, name).is_file() else None


def list_of(data_dir: str | Path, split: str) -> str:
    """Return the name of the list of a split, train or val: the folder's own, else VOC's."""
    return own_list(data_dir, split) or _VOC_LISTS[split]


def pictures_in(folder: Path) -> list[Path]:
    """List the files named as pictures in a folder and those below, sorted; no pipe, no device.

    Hidden files and folders are passed over, and so are the `._` files of macOS. A link to a folder
    elsewhere is followed, once.
    """
    files, seen = [], {os.path.realpath(folder)}
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(here, name), seen)]
        files += [Path(here, name) for name in names if not name.startswith(".")]
    return sorted(p for p in files if p.suffix.lower() in SUFFIXES and p.is_file())


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Tell whether to go into a folder; where links lead is remembered, so that none circles."""
    real = os.path.realpath(folder)
    overlaps = any(os.path.commonpath((real, other)) in (real, other) for other in seen)
    if folder.name.startswith(".") or (folder.is_symlink() and overlaps):
        return False
    seen |= {real} if folder.is_symlink() else set()
    return True


def read_list(data_dir: str | Path, data_list: str | Path, masks: bool = True) -> list[Sample]:
    """Read a list as `parse_list` does, and make sure that all its files are there.

    Raises UserError for missing files too: all are counted and the first named.
    """
    samples = parse_list(data_dir, data_list, masks)
    files = (path for sample in samples for path in sample[: 1 + masks])
    missing = [path for path in files if not is_file(path)]
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(samples) * (1 + masks)} files in the list {data_list} are "
            f"missing: {few(missing)}; its lines are relative to --data_dir {data_dir}"
        )
    return samples


def parse_list(data_dir: str | Path, data_list: str | Path, masks: bool = True) -> list[Sample]:
    """Read a list whose lines are `/image.jpg /mask.png`, an image alone, or a bare VOC id.

    Paths are relative to data_dir, with or without the leading slash; the list itself is looked
    for as it is named, then below data_dir. Blank lines and lines that start with # are skipped.
    Raises UserError for a list that is missing or empty and, if `masks`, for a line without one.
    """
    root, samples = Path(data_dir), []
    path = _find(root, data_list)
    for number, line in enumerate(read_lines(path), 1):
        if line and not line.startswith("#"):
            samples.append(_split(line, root))
            if masks and samples[-1].mask is None:
                raise UserError(
                    f"line {number} of {path} names no mask: {line!r}; a line with one is "
                    "`/image.jpg /mask.png`"
                )
    if not samples:
        raise UserError(f"the list {path} is empty; a line is `/image.jpg /mask.png` or a VOC id")
    return samples


def check_sizes(sample: Sample, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """Raise UserError unless (height, width) of a picture and of its mask are the same."""
    if image == mask:
        return
    advice = "they must be of one size"
    if image == mask[::-1] and exif_orientation(sample.image) >= 5:
        advice = "EXIF turns the picture by a quarter: turn the mask, or strip that of EXIF"
    raise UserError(
        f"{sample.image} is {image[0]} x {image[1]} pixels (height x width) and its mask "
        f"{sample.mask} is {mask[0]} x {mask[1]}; {advice}"
    )


def exif_orientation(path: Path) -> int:
    """Return how a picture's EXIF data turn it, 1 to 8; 1, upright, for PNGs, which seldom say."""
    with opened(path) as picture:
        return 1 if picture.format == "PNG" else orientation_of(picture)


def read_lines(path: Path) -> list[str]:
    """Read the stripped lines of a UTF-8 text file.

    Raises UserError for any other file, and for one that is too large or has a line too long to be
    meant: a device never ends, and what looks for gaps in a line would take hours.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UserError(f"{path} has over {_LARGEST:,} bytes; give a text file", path)
        lines = [line.strip() for line in content.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8", path) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", path) from error
    for number, line in enumerate(lines, 1):
        if len(line) > _LONGEST or "\0" in line:
            fault = "holds a zero byte" if "\0" in line else f"has over {_LONGEST:,} characters"
            raise UserError(f"line {number} of {path} {fault}; correct it", path)
    return lines


def is_file(path: Path) -> bool:
    """Tell whether there is a file, or a link to one; no for names that no file can have, too."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _find(data_dir: Path, data_list: str | Path) -> Path:
    if not data_dir.is_dir():
        raise UserError(f"there is no folder {data_dir}; data_dir is the folder of the data set")
    for path in (Path(data_list), data_dir / data_list):
        if is_file(path):
            return path
    raise UserError(
        f"there is no list {data_list}, here or in {data_dir}; name one by --data_list, or let "
        "util/prepare_data.py make one"
    )


def _split(line: str, root: Path) -> Sample:
    """Split a line where both parts are files; names may hold spaces, and a picture be alone."""
    pairs = [(line[: gap.start()], line[gap.end() :]) for gap in re.finditer(r"\s+", line)]
    for place in (_below, _located):  # the first does for most, and looks for no more files
        for names in pairs:
            sample = Sample(*(place(root, name) for name in names))
            if all(map(is_file, sample)):
                return sample
    if not pairs and not line.lower().endswith(SUFFIXES):
        masks = [root / folder / f"{line}.png" for folder in MASK_FOLDERS]
        mask = next(filter(is_file, masks), masks[-1])
        return Sample(root / IMAGE_FOLDER / f"{line}.jpg", mask)
    alone = _located(root, line)
    if pairs and not is_file(alone):
        return Sample(*(_located(root, name) for name in pairs[0]))
    return Sample(alone, None)


def _below(root: Path, name: str) -> Path:
    return root / name.lstrip("/")


def _located(root: Path, name: str) -> Path:
    """Return a path that counts from the root, or an absolute one if only that is a file."""
    below = _below(root, name)
    is_absolute = name.startswith("/") and not is_file(below) and is_file(Path(name))
    return Path(name) if is_absolute else below
