"""Evaluation: what there is to learn from the predictions for a list of pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.samples import Sample
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.metrics import ConfusionMatrix, PerPicture
from deeplab_lfov.evaluation.report.report import Report


class Evaluation:
    """The `matrix` of predictions, and where wanted `trimap`, `bf` and a `report`.

    trimap_widths: in pixels; bf: whether to look at boundaries; report: a folder. Raises UserError
    as `Report` does.
    """

    def __init__(
        self,
        classes: Classes,
        trimap_widths: Sequence[int] | None = None,
        report: str | Path | None = None,
        bf: bool = False,
    ):
        self.per_picture = PerPicture(classes.names)
        self.trimap = TrimapMatrices(classes.names, trimap_widths) if trimap_widths else None
        self.bf = BoundaryF1(classes.names) if bf else None
        self.report = Report(report, classes) if report else None

    @property
    def matrix(self) -> ConfusionMatrix:
        """The confusion matrix of all pictures."""
        return self.per_picture.whole

    def add(self, sample: Sample, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W]; raises ValueError as `ConfusionMatrix.update` does."""
        self.per_picture.add(sample.name, truth, prediction)
        for part in filter(None, (self.trimap, self.bf)):
            part.add(truth, prediction)
        if self.report:
            self.report.add(sample.image, truth, prediction)

    def write_report(self, facts: dict[str, str]) -> Path:
        """Write the page of the report, and return its path; raises UserError as `Report` does."""
        return self.report.write(self.per_picture, facts, self.trimap, self.bf)

    def as_dict(self) -> dict:
        """Return the numbers of the matrix, and of trimap and bf if there are, as fractions."""
        more = {"trimap": self.trimap, "bf": self.bf}
        return self.matrix.as_dict() | {n: part.as_dict() for n, part in more.items() if part}

    def __str__(self) -> str:
        return "\n\n".join(str(part) for part in (self.matrix, self.trimap, self.bf) if part)
