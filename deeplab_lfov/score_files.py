"""Scores as .npy files, written band by band so that memory does not grow with the picture."""

from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file
from deeplab_lfov.segmentation import Segmentation


def write_scores(path: str | Path, segmentation: Segmentation) -> None:
    """Write the scores before softmax as float32 [H, W, C] for numpy.load.

    Raises UserError when the file cannot be written.
    """
    shape = (*segmentation.image.shape[:2], segmentation.grids[0].shape[-1])
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(map(int, shape))}
    with whole_file(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for band in segmentation.score_bands():
            file.write(band.astype("<f4").tobytes())


def check_scores_replaceable(path: str | Path, num_classes: int) -> None:
    """Raise UserError unless `path` is free or holds scores of that many classes."""
    path = Path(path)
    if path.exists() and not _holds_scores(path, num_classes):
        raise UserError(f"{path} exists and holds no scores of this network; save elsewhere")


def _holds_scores(path: Path, num_classes: int) -> bool:
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return False
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except (OSError, ValueError):
        return False
    return dtype == np.float32 and len(shape) == 3 and shape[2] == num_classes
