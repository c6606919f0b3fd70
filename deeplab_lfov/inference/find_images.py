"""The pictures that the arguments of inference.py stand for: files, folders and globs."""

import glob
from collections.abc import Sequence
from pathlib import Path

from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import DATA_SET, SOFTWARE, is_output
from deeplab_lfov.data.list_files import MASK_FOLDERS, SUFFIXES, pictures_in
from deeplab_lfov.errors import UserError

_FOLDERS_OF_MASKS = {*MASK_FOLDERS, "SegmentationObject"}


def are_pictures(pattern: str) -> bool:
    """Tell whether a path or glob stands for pictures, and not for weights, by names alone."""
    path = Path(pattern)
    if path.is_dir():
        return not any(path.glob("*.index")) and bool(pictures_in(path))
    return path.suffix.lower() in SUFFIXES


def check_order(images: Sequence[str]) -> None:
    """Raise UserError for weights among the pictures."""
    for path in map(Path, images):
        if any(path.glob("*.index")) if path.is_dir() else Path(f"{path}.index").is_file():
            raise UserError(
                f"{path} is a checkpoint; the weights come last: inference.py PICTURE... CKPT"
            )


def find_images(patterns: Sequence[str]) -> list[Path]:
    """List the pictures that files, folders and globs stand for, in their order, each once.

    Raises UserError for one that stands for none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        here = _pictures(pattern)
        if not here:
            raise UserError(f"there is no picture {pattern}")
        found.update(dict.fromkeys(here))
    return list(found)


def _pictures(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        here = pictures_in(path)
    elif path.exists():
        check_regular(path)
        return [path]
    else:
        here = [Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file()]
    # Masks of an earlier run, or of a data set, may lie beside their pictures.
    stems = {p.with_suffix("") for p in here}
    return sorted(p for p in here if not _is_mask(p, stems))


def _is_mask(path: Path, stems: set[Path]) -> bool:
    """Tell masks from pictures: by their names beside others, their folders and their origin."""
    named = path.stem.removesuffix("_mask")
    of_another = named != path.stem and path.with_name(named) in stems
    in_voc = path.parent.name in _FOLDERS_OF_MASKS
    return of_another or in_voc or any(is_output(path, origin) for origin in (SOFTWARE, DATA_SET))
