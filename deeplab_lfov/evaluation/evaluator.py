"""Evaluation: what there is to learn from predictions, over all the workers that made them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.evaluation.boundary_f1 import BoundaryF1
from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.evaluation.per_picture import PerPicture
from deeplab_lfov.evaluation.report.report import Report
from deeplab_lfov.evaluation.trimap import TrimapMatrices


class Evaluation:
    """The `matrix` of predictions, and where wanted `trimap`, `bf`, `per_picture` and a `report`.

    trimap_widths: in pixels; report: a folder, which the chief of several workers writes; bf:
    whether to look at boundaries; numbers: as for `Report`. Raises UserError as that does.
    """

    def __init__(
        self,
        classes: Classes,
        trimap_widths: Sequence[int] | None = None,
        report: str | Path | None = None,
        bf: bool = False,
        per_picture: bool = False,
        numbers: Sequence[int] | None = None,
        is_chief: bool = True,
    ):
        self.matrix = ConfusionMatrix(classes.names)
        self.trimap = TrimapMatrices(classes.names, trimap_widths) if trimap_widths else None
        self.bf = BoundaryF1(classes.names) if bf else None
        self.per_picture = PerPicture(classes.names) if per_picture or report else None
        self.report = Report(report, classes, numbers, is_chief) if report else None

    def add(self, sample: Sample, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add labels uint8 [H, W]; raises ValueError as `ConfusionMatrix.update` does."""
        self.matrix.update(truth, prediction)
        if self.trimap:
            self.trimap.update(truth, prediction)
        if self.bf:
            self.bf.update(truth, prediction)
        if self.per_picture:
            self.per_picture.add(truth, prediction)
        if self.report:
            self.report.add(sample.name, sample.image, truth, prediction)

    def gather(self, samples: Sequence[Sample], replicas: Replicas) -> None:
        """Add up what the workers have of all samples; raises WorkerGoneError."""
        for part in (self.matrix, *(self.trimap.matrices.values() if self.trimap else ())):
            part.counts = replicas.sum(part.counts)
        if self.trimap:
            self.trimap.num_pixels = int(replicas.sum(np.array(self.trimap.num_pixels)))
        if self.bf:
            self.bf.sums = replicas.sum(self.bf.sums)
        if self.per_picture and replicas.num_workers > 1:
            self.per_picture.gather(len(samples), replicas)
        if self.report and replicas.num_workers > 1:
            self.report.gather(samples, replicas)

    def as_dict(self) -> dict:
        """Return the numbers of the matrix, and of trimap and bf if there are, as fractions."""
        more = {"trimap": self.trimap, "bf": self.bf}
        return self.matrix.as_dict() | {n: part.as_dict() for n, part in more.items() if part}

    def __str__(self) -> str:
        return "\n\n".join(str(part) for part in (self.matrix, self.trimap, self.bf) if part)
