"""The pictures that the arguments of inference.py stand for: files, folders and globs."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import DATA_SET, PREDICTED, SOFTWARE, is_output
from deeplab_lfov.data.list_files import MASK_FOLDERS, SUFFIXES, pictures_in
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.settings import is_number

_FOLDERS_OF_MASKS = {*MASK_FOLDERS, "SegmentationObject"}
_OF_WEIGHTS = {".index", ".npz", ".caffemodel", ".pth", ".pt", ".safetensors", ".h5", ".ckpt"}


def split_weights(paths: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Split paths into those of pictures, and that of weights if it comes last, by names alone.

    Raises UserError for weights in front of pictures.
    """
    if apart := next((path for path in paths if is_number(path) and not Path(path).exists()), None):
        raise UserError(f"there is no file {apart}; lists are written with commas, such as 0.5,1")
    *images, last = paths
    if images and not _are_pictures(Path(last)):
        return images, last
    if weights := next(filter(_are_weights, map(Path, paths)), None):
        raise UserError(
            f"{weights} is no picture; the weights come last: inference.py PICTURE... CKPT"
        )
    return paths, None


def _are_pictures(path: Path) -> bool:
    if path.is_dir():
        return not _are_weights(path) and bool(pictures_in(path))
    return path.suffix.lower() in SUFFIXES


def _are_weights(path: Path) -> bool:
    """Tell whether there is a checkpoint at a path, or the folder of one, or of a run."""
    here = path.iterdir() if path.is_dir() else filter(Path.exists, (path, Path(f"{path}.index")))
    return any(file.suffix in _OF_WEIGHTS or file.name == "history.csv" for file in here)


def find_images(patterns: Sequence[str]) -> dict[Path, int]:
    """Find the pictures that files, folders and globs stand for, in their order, each once.

    With each: how many of its parts lie below its folder or what is before a glob's first sign.
    Raises UserError for one that stands for none.
    """
    found: dict[Path, int] = {}
    for pattern in patterns:
        if not (here := _pictures(pattern)):
            raise UserError(_missing(pattern))
        fixed = pattern if Path(pattern).exists() else re.split(r"[*?\[]", pattern)[0] + "x"
        root = len(Path(fixed).parts) - (fixed != pattern)
        found |= {path: max(found.get(path, 1), len(path.parts) - root) for path in here}
    return found


def _missing(pattern: str) -> str:
    """Say why a path stands for no image, and what to do."""
    if re.match(r"[a-z]{2,}://", pattern):
        return f"{pattern} is an address: download the image, and give its file"
    if not Path(pattern).is_dir():
        return f"there is no picture {pattern}"
    others = [path.name for path in sorted(Path(pattern).rglob("*")) if path.is_file()]
    holds = f"it holds {few(others)}; convert them to one of these" if others else "it is empty"
    return f"the folder {pattern} has no pictures ({', '.join(SUFFIXES)}): {holds}"


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
    return of_another or in_voc or is_output(path, SOFTWARE, DATA_SET, PREDICTED)
