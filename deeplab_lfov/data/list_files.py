"""List files: which picture goes with which mask."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from deeplab_lfov.data.samples import Sample, Samples
from deeplab_lfov.errors import UserError, few

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
"""Names with one of these endings are pictures; a lone name without is a VOC id."""
IMAGE_FOLDER = "JPEGImages"
MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
"""VOC's folders, for lines that are a bare id; the first that holds the mask is taken."""


_LONGEST = 10_000  # characters of a line; two paths of Linux have 8,192 at most
_LONGEST_BYTES = 1 << 16  # read at a time; a character has 4 at most
_LARGEST = 100 * 10**6  # bytes of a text file; a list of a million pictures has 60 MB


def pictures_in(folder: Path) -> list[Path]:
    """List the files named as pictures in a folder and those below, sorted; no pipe, no device.

    Links to folders are not followed, as they may lead in circles.
    """
    files = (Path(here, name) for here, _, names in os.walk(folder) for name in names)
    return sorted(p for p in files if p.suffix.lower() in SUFFIXES and p.is_file())


def read_list(data_dir: str | Path, data_list: str | Path, masks: bool = True) -> Samples:
    """Read a list as `parse_list` does, and make sure that all its files are there.

    Raises UserError for missing files too: all are counted and the first named.
    """
    missing: list[str] = []
    samples = parse_list(data_dir, data_list, masks, missing)
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(samples) * (1 + masks)} files in the list {data_list} are "
            f"missing: {few(missing)}; its lines are relative to --data_dir {data_dir}"
        )
    return samples


def parse_list(
    data_dir: str | Path,
    data_list: str | Path,
    masks: bool = True,
    missing: list[str] | None = None,
) -> Samples:
    """Read a list whose lines are `/image.jpg /mask.png`, an image alone, or a bare VOC id.

    Paths are relative to data_dir, with or without the leading slash; the list itself is looked
    for as it is named, then below data_dir. Blank lines and lines that start with # are skipped.
    missing: takes the files that are not there. Raises UserError for a list that is missing or
    empty and, with masks=True, for a line without a mask.
    """
    data_dir = Path(data_dir)
    path, samples, root = _find(data_dir, data_list), Samples(data_dir), str(data_dir)
    for number, line in enumerate(lines_of(path), 1):
        if not line or line.startswith("#"):
            continue
        found = _pair_of_files(line, root)
        image, mask = names = found or _parse(line, root)
        if masks and mask is None:
            raise UserError(
                f"line {number} of {path} names no mask: {line!r}; a line with one is "
                "`/image.jpg /mask.png`"
            )
        if missing is not None and not found:
            missing += _missing(root, names if masks else names[:1])
        samples.add(image, mask)
    if not samples:
        raise UserError(f"the list {path} is empty; a line is `/image.jpg /mask.png` or a VOC id")
    return samples


def check_sizes(sample: Sample, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """Raise UserError unless (height, width) of a picture and of its mask are the same."""
    if image != mask:
        raise UserError(
            f"{sample.image} is {image[1]} x {image[0]} pixels and its mask {sample.mask} is "
            f"{mask[1]} x {mask[0]}; they must be of one size"
        )


def read_class_names(path: str | Path, num_classes: int | None = None) -> tuple[str, ...]:
    """Read a file with the name of a class in each line, label 0 first; blank lines are skipped.

    Raises UserError for a file that is missing or not text, for a name given twice and for another
    number of names than num_classes.
    """
    names = tuple(line for line in read_lines(Path(path)) if line)
    if not names:
        raise UserError(f"{path} is empty; it should name a class in each line")
    if len(names) != (num_classes or len(names)):
        raise UserError(
            f"{path} names {len(names)} classes, not {num_classes}; one name in each line"
        )
    if len(names) > 256:
        raise UserError(f"{path} names {len(names)} classes; 256 are the most")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} names the class {repeated[0]!r} twice")
    return names


def _find(data_dir: Path, data_list: str | Path) -> Path:
    if not data_dir.is_dir():
        raise UserError(f"there is no folder {data_dir}; data_dir is the folder of the data set")
    for path in (Path(data_list), data_dir / data_list):
        if is_file(path):
            return path
        if path.is_dir():
            raise UserError(
                f"{path} is a folder; a list is a text file with a picture and its mask in each "
                "line, and util/prepare_data.py makes one of folders"
            )
    raise UserError(
        f"there is no list {data_list}, here or in {data_dir}; name one by --data_list, or let "
        "util/prepare_data.py make one"
    )


def read_lines(path: Path) -> list[str]:
    """Read all lines as `lines_of` does."""
    return list(lines_of(path))


def lines_of(path: Path) -> Iterator[str]:
    """Yield the stripped lines of a UTF-8 text file.

    Raises UserError for any other file, and for one that is too large or has a line too long to be
    meant: a device never ends, and what looks for gaps in a line would take hours.
    """
    size = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_BYTES), b""), 1):
                size += len(line)
                if size > _LARGEST:
                    raise UserError(f"{path} has over {_LARGEST:,} bytes; give a text file", path)
                yield _checked(line.decode("utf-8-sig" if number == 1 else "utf-8"), number, path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8", path) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", path) from error


def _checked(line: str, number: int, path: Path) -> str:
    line = line.strip()
    if len(line) > _LONGEST or "\0" in line:
        fault = "holds a zero byte" if "\0" in line else f"has over {_LONGEST:,} characters"
        raise UserError(f"line {number} of {path} {fault}; correct it", path)
    return line


def is_file(path: Path) -> bool:
    """Tell whether there is a file, or a link to one; no for names that no file can have, too."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _pair_of_files(line: str, root: str) -> tuple[str, str] | None:
    """Split a line as nearly all are, with one gap, below the root; None for any other."""
    parts = line.split()
    if len(parts) != 2 or not parts[0].lower().endswith(SUFFIXES):
        return None
    pair = parts[0].lstrip("/"), parts[1].lstrip("/")
    return pair if not _missing(root, pair) else None


def _parse(line: str, root: str) -> tuple[str, str | None]:
    """Split a line with several gaps where both halves are files, as names may hold spaces."""
    gaps = list(re.finditer(r"\s+", line))
    if not gaps and not line.lower().endswith(SUFFIXES):
        return _voc_names(line, root)
    alone = _located(root, line)
    if not gaps or not _missing(root, [alone]):
        return alone, None
    splits = [(line[: gap.start()], line[gap.end() :]) for gap in gaps]
    pairs = [(_located(root, one), _located(root, two)) for one, two in splits]
    whole = [pair for pair in pairs if not _missing(root, pair)]
    return (whole or pairs)[0]


def _voc_names(name: str, root: str) -> tuple[str, str]:
    masks = [f"{folder}/{name}.png" for folder in MASK_FOLDERS]
    mask = next((mask for mask in masks if not _missing(root, [mask])), masks[-1])
    return f"{IMAGE_FOLDER}/{name}.jpg", mask


def _located(root: str, name: str) -> str:
    """Return a name that counts from the root, or an absolute path if only that is a file."""
    below = name.lstrip("/")
    return name if name != below and _missing(root, [below]) and os.path.isfile(name) else below


def _missing(root: str, names: Iterable[str]) -> list[str]:
    """Return the paths that are no files; names count from the root unless they are absolute."""
    paths = (name if name.startswith("/") else f"{root}/{name}" for name in names)
    return [path for path in paths if not os.path.isfile(path)]
