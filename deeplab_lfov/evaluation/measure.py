"""The metric of evaluate.py: of a checkpoint, against another, or of all that a run has kept."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.comparison import Comparison, check_comparable, read_evaluated
from deeplab_lfov.evaluation.metrics import ConfusionMatrix, PerPicture
from deeplab_lfov.evaluation.report.report import Report
from deeplab_lfov.evaluation.settings import CheckpointsSettings, MeasureSettings
from deeplab_lfov.evaluation.setup import (
    Picture,
    begin,
    make_predictor,
    mask_paths,
    reader_of,
    segment_all,
)
from deeplab_lfov.files import whole_file, writable_json
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in, locate


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


def measure(settings: MeasureSettings) -> None:
    """Print the mean IoU, and write the numbers, the masks and the report that were asked for."""
    predictor = make_predictor(settings)
    reader = reader_of(settings, predictor)
    masks = mask_paths(settings.save_dir, reader.samples)
    if settings.json:
        writable_json(settings.json, "mean_iou")
    evaluation = Evaluation(predictor.classes, settings.trimap, settings.report, settings.bf)
    other = _other(settings, predictor, [sample.name for sample in reader.samples])
    begin(settings, reader, predictor)
    seconds = _label(predictor, reader, evaluation, masks)
    comparison = None
    if isinstance(other, Predictor):
        evaluation_of_other = Evaluation(other.classes)
        _label(other, reader, evaluation_of_other)
        other = evaluation_of_other.per_picture
    if other:
        comparison = Comparison(evaluation.per_picture, other, settings.compare)
    print(f"\n{evaluation}\n\n{len(reader.samples)} pictures in {seconds:.1f} s")
    if comparison:
        print(f"\n{comparison}")
    _write(settings, predictor, evaluation, comparison, seconds)


def measure_all(settings: CheckpointsSettings) -> None:
    """Print the mean IoU of every checkpoint in a folder; raises UserError where there is none."""
    paths = checkpoints_in(Path(settings.restore_from))
    if not paths:
        raise UserError(
            f"--all_checkpoints is for a folder with checkpoints, and {settings.restore_from} has "
            "none"
        )
    rows, pad = {}, max(len(path.name) for path in paths)
    for path in paths:
        predictor = make_predictor(dataclasses.replace(settings, restore_from=str(path)))
        reader, evaluation = reader_of(settings, predictor), Evaluation(predictor.classes)
        if path == paths[0]:
            begin(settings, reader, predictor)
        _label(predictor, reader, evaluation)
        rows[path.name] = evaluation.matrix
    best = max(rows.values(), key=lambda matrix: np.nan_to_num(matrix.mean_iou))
    print(f"\n{'checkpoint':<{pad}}{'mean IoU':>10}{'pixels':>9}")
    for name, matrix in rows.items():
        mark = "  best" if matrix is best else ""
        print(f"{name:<{pad}}{matrix.mean_iou:>10.2%}{matrix.pixel_accuracy:>9.2%}{mark}")


def _label(
    predictor: Predictor,
    reader: ImageReader,
    evaluation: Evaluation,
    masks: Sequence[Path] = (),
) -> float:
    """Label the reader's pictures, add them to the evaluation, and write their masks.

    Returns the seconds it took.
    """

    masks = iter(masks)

    def finish(picture: Picture, segmentation: Segmentation) -> float:
        (sample, _, truth), prediction = picture, segmentation.labels()
        evaluation.add(sample, truth, prediction)
        if mask := next(masks, None):
            write_mask(mask, prediction, colors=predictor.classes.table)
        return evaluation.matrix.mean_iou

    return segment_all(predictor, reader.pictures(), len(reader.samples), finish)


def _other(
    settings: MeasureSettings, predictor: Predictor, names: list[str]
) -> PerPicture | Predictor | None:
    """Return what to compare with: an evaluation from a file, or a network that is still to label.

    Raises UserError where it is neither, or of another list or other classes.
    """
    if not settings.compare:
        return None
    if Path(settings.compare).suffix == ".json":
        theirs = read_evaluated(settings.compare)
        check_comparable(predictor.class_names, names, theirs, settings.compare)
        return theirs
    other = make_predictor(dataclasses.replace(settings, restore_from=settings.compare))
    predictor.classes.check_same(other.classes, settings.restore_from, settings.compare)
    return other


def _write(
    settings: MeasureSettings,
    predictor: Predictor,
    evaluation: Evaluation,
    comparison: Comparison | None,
    seconds: float,
) -> None:
    """Write the report and the numbers, where they were asked for."""
    number = len(evaluation.per_picture.names)
    date, place = datetime.now().isoformat(" ", "seconds"), str(locate(settings.restore_from))
    if settings.report:
        facts = {
            "checkpoint": place,
            "network": str(predictor.model),
            "pictures": f"{number} of {settings.data_list} in {settings.data_dir}",
            "test time": str(predictor) or "one view of each picture",
            "written": f"{date}, after {seconds:.0f} s",
        }
        print(f"report   {evaluation.write_report(facts)}")
    if settings.json:
        numbers = evaluation.as_dict() | {
            "num_images": number,
            "seconds": seconds,
            "checkpoint": place,
            "data_list": settings.data_list,
            "date": date,
            "views": str(predictor),
            "precision": settings.precision,
            "pictures": evaluation.per_picture.as_list(),
        }
        numbers |= {"compared": comparison.as_dict()} if comparison else {}
        with whole_file(settings.json) as partial:
            partial.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
