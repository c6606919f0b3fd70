"""The search for the CRF's bilateral parameters (arXiv 1412.7062, section 5.1)."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from deeplab_lfov.crf.dense_crf import DenseCRF
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.evaluation.settings import SearchSettings
from deeplab_lfov.evaluation.setup import Picture, begin, make_predictor, reader_of, segment_all
from deeplab_lfov.inference.segmentation import Segmentation

SEARCHED = ("bi_w", "bi_xy_std", "bi_rgb_std")
"""The paper keeps the smoothness kernel as it is, and so does the search."""


class CRFSearch:
    """The mean IoU of 27 CRFs: each parameter of `center` divided by, left, or times factor.

    Repeated around the best with a smaller factor, it goes from coarse to fine as in the paper.
    Raises UserError for parameters beyond their bounds.
    """

    def __init__(self, center: DenseCRF, factor: float, class_names: Sequence[str]):
        self.without = ConfusionMatrix(class_names)
        self.matrices: dict[DenseCRF, ConfusionMatrix] = {}
        for steps in itertools.product((1 / factor, 1.0, factor), repeat=len(SEARCHED)):
            scaled = {n: getattr(center, n) * step for n, step in zip(SEARCHED, steps, strict=True)}
            try:
                crf = dataclasses.replace(center, **scaled)
            except UserError as error:
                raise UserError(f"{error}; search with a smaller --crf_search") from error
            self.matrices[crf] = ConfusionMatrix(class_names)

    def update(self, image: np.ndarray, truth: np.ndarray, probabilities: np.ndarray) -> None:
        """Refine float32 [H, W, C] by every CRF; image uint8 RGB [H, W, 3], truth uint8 [H, W]."""
        self.without.update(truth, probabilities.argmax(axis=-1))
        for crf, matrix in self.matrices.items():
            matrix.update(truth, crf(image, probabilities).argmax(axis=-1))

    @property
    def ranked(self) -> list[DenseCRF]:
        """The CRFs from the highest mean IoU to the lowest; of equals in the order of trial."""
        return sorted(self.matrices, key=lambda crf: -self.matrices[crf].mean_iou)

    def __str__(self) -> str:
        rows = ["".join(f"{name:>11}" for name in SEARCHED) + f"{'mean IoU':>11}"]
        for crf in self.ranked:
            values = "".join(f"{getattr(crf, name):>11g}" for name in SEARCHED)
            rows.append(f"{values}{self.matrices[crf].mean_iou:>11.2%}")
        rows.append(f"{'without CRF':>33}{self.without.mean_iou:>11.2%}")
        return "\n".join(rows)


def search(settings: SearchSettings) -> None:
    """Print the mean IoU of the CRFs around the settings' own, and the flags of the best."""
    predictor = make_predictor(settings)
    predictor.crf = None  # the search refines what the network alone gives
    reader = reader_of(settings, predictor)
    crfs = CRFSearch(settings.crf, settings.crf_search, predictor.class_names)
    begin(settings, reader, predictor)
    print(f"search   {len(crfs.matrices)} CRFs around {settings.crf}")

    def finish(picture: Picture, segmentation: Segmentation) -> float:
        _, image, truth = picture
        crfs.update(image, truth, segmentation.probabilities())
        return crfs.matrices[crfs.ranked[0]].mean_iou

    seconds = segment_all(predictor, reader.pictures(), len(reader.samples), finish)
    print(f"\n{crfs}\n{len(reader.samples)} pictures in {seconds:.1f} s; ", end="")
    print(f"the best: {crfs.ranked[0].as_flags(always=SEARCHED)}")
