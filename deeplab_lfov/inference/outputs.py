"""The files that a picture becomes: mask, overlay and scores; no file of the user is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import check_replaceable, write_mask, write_png
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import output_names, whole_file, writable_folder

if TYPE_CHECKING:
    from deeplab_lfov.inference.segmentation import Segmentation
    from deeplab_lfov.inference.settings import InferenceSettings


class Outputs(NamedTuple):
    """The files that one picture becomes; None for those that are not wanted."""

    mask: Path
    overlay: Path | None
    scores: Path | None
    probabilities: Path | None

    @property
    def are_there(self) -> bool:
        """Whether all files that are wanted are there."""
        return all(file.exists() for file in self if file)

    def write(
        self,
        segmentation: Segmentation,
        labels: np.ndarray,
        classes: Classes,
        settings: InferenceSettings,
    ) -> None:
        """Write the files of a picture whose labels are uint8 [H, W].

        Raises UserError when a file cannot be written.
        """
        write_mask(self.mask, labels, colors=classes.table)
        if self.overlay:
            from deeplab_lfov.inference.visualize import overlay, with_legend  # slow to import

            pixels = overlay(segmentation.image, labels, settings.share_of_colors, classes)
            picture = Image.fromarray(pixels)
            if settings.legend:
                picture = with_legend(picture, np.unique(labels), classes)
            write_png(self.overlay, picture)
        refined = (band for _, band in segmentation.probability_bands())
        arrays = (self.scores, segmentation.score_bands()), (self.probabilities, refined)
        for path, bands in arrays:
            if not path:
                continue
            shape = (*labels.shape, int(segmentation.grids[0].shape[-1]))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            with whole_file(path) as partial, partial.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for band in bands:  # never all of them in memory
                    file.write(band.astype("<f4").tobytes())


def plan_outputs(settings: InferenceSettings, images: Mapping[Path, int]) -> list[Outputs]:
    """Name the files of each picture; raises UserError where something else has their place.

    images: as `find_images` gives them.
    """
    names = output_names([*images], [*images.values()])
    outputs = [
        Outputs(
            Path(f"{place}_mask.png"),
            None if settings.share_of_colors is None else Path(f"{place}_overlay.png"),
            Path(f"{place}_scores.npy") if settings.save_scores else None,
            Path(f"{place}_probabilities.npy") if settings.save_probabilities else None,
        )
        for place in (Path(settings.save_dir, name) for name in names)
    ]
    for folder in {output.mask.parent for output in outputs}:
        writable_folder(folder)
    for output in outputs:
        for file in filter(None, (output.mask, output.overlay)):
            check_replaceable(file)
        for file in filter(None, (output.scores, output.probabilities)):
            if file.exists() and not _holds_scores(file):
                raise UserError(f"{file} exists and holds no scores; save elsewhere")
    return outputs


def _holds_scores(path: Path) -> bool:
    try:
        check_regular(path)
        scores = np.load(path, mmap_mode="r", allow_pickle=False)
        return scores.dtype == np.float32 and scores.ndim == 3
    except Exception:  # numpy takes the head for Python and raises what its parser stumbles over
        return False
