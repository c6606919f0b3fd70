"""The metric of evaluate.py: of a checkpoint, against another, or of all that a run has kept."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import numpy as np

from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.comparison import Comparison, check_comparable, read_evaluated
from deeplab_lfov.evaluation.metrics import ConfusionMatrix, PerPicture, none_if_nan
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
from deeplab_lfov.evaluation.threshold_curve import ThresholdCurve
from deeplab_lfov.files import whole_csv, whole_file, writable_csv, writable_json
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.regions import Verdict, verdicts
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in, index_of, locate

_COLUMNS = ("image", "class", *Verdict._fields, "share_of_truth", "iou")


def measure(settings: MeasureSettings) -> None:
    """Print the mean IoU, and write the numbers, the masks and the report that were asked for."""
    predictor = make_predictor(settings)
    reader, classes = reader_of(settings, predictor), predictor.classes
    masks = iter(mask_paths(settings, reader.samples))
    if settings.json:
        writable_json(settings.json, {"mean_iou", "iou", "frequency_weighted_iou"})
    if settings.csv:
        writable_csv(settings.csv, _COLUMNS)
    trimap = TrimapMatrices(classes.names, settings.trimap) if settings.trimap else None
    bf = BoundaryF1(classes.names) if settings.bf else None
    report = Report(settings.report, classes) if settings.report else None
    other = _other(settings, predictor, [sample.name for sample in reader.samples])
    name, folder = settings.threshold_curve, settings.report or ""
    curve = ThresholdCurve(name, classes, folder) if name else None
    label_counts = begin(settings, reader, predictor)
    if curve and not label_counts[curve.label]:
        raise UserError(f"no mask of {settings.data_list} has {name}; no threshold is the best")

    def add(sample: Sample, truth: np.ndarray, prediction: np.ndarray, of: Segmentation) -> None:
        for part in filter(None, (trimap, bf)):
            part.add(truth, prediction)
        for rows, band in of.probability_bands() if curve else ():
            curve.add(truth[rows], band)
        if add_row:
            found = verdicts(prediction, of.probability_bands())
            for row in _rows(truth, prediction, found, classes.names):
                add_row([sample.image, *row])
        if report:
            report.add(sample.image, truth, prediction)
        if mask := next(masks, None):
            write_mask(mask, prediction, colors=classes.table)

    with whole_csv(settings.csv, _COLUMNS) if settings.csv else nullcontext() as add_row:
        pictures, seconds = _label(predictor, reader, add)
    if isinstance(other, Predictor):
        other, _ = _label(other, reader)
    comparison = Comparison(pictures, other, settings.compare) if other else None
    for part in filter(None, (pictures.whole, trimap, bf, curve)):
        print(f"\n{part}")
    if curve:
        print(f"drawn    {curve.draw()}")
    print(f"\n{len(reader.samples)} pictures in {seconds:.1f} s")
    if comparison:
        print(f"\n{comparison}")
    facts = {"num_images": len(reader.samples), "seconds": seconds, **_facts(settings, predictor)}
    if report:
        told = _for_readers(facts, settings, predictor)
        print(f"report   {report.write(pictures, told, trimap, bf)}")
    if settings.json:
        parts = {"trimap": trimap, "bf": bf, "threshold_curve": curve, "compared": comparison}
        numbers = pictures.whole.as_dict() | facts | {"pictures": pictures.as_list()}
        numbers |= {name: part.as_dict() for name, part in parts.items() if part}
        with whole_file(settings.json) as partial:
            partial.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def _rows(
    truth: np.ndarray, prediction: np.ndarray, found: dict[int, Verdict], names: tuple[str, ...]
) -> Iterator[list]:
    matrix = ConfusionMatrix(names)
    matrix.update(truth, prediction)
    shares = matrix.counts.sum(axis=1) / truth.size
    for label, (name, iou) in enumerate(zip(names, map(none_if_nan, matrix.iou), strict=True)):
        yield [name, *found.get(label, Verdict()), shares[label], iou]


def _facts(settings: MeasureSettings, predictor: Predictor) -> dict[str, str]:
    return {
        "checkpoint": str(locate(settings.restore_from)),
        "data_list": settings.data_list,
        "date": datetime.now().isoformat(" ", "seconds"),
        "views": str(predictor),
        "precision": settings.precision,
    }


def _for_readers(
    facts: dict[str, object], settings: MeasureSettings, predictor: Predictor
) -> dict[str, str]:
    return {
        "checkpoint": facts["checkpoint"],
        "network": str(predictor.model),
        "pictures": f"{facts['num_images']} of {settings.data_list} in {settings.data_dir}",
        "test time": facts["views"] or "one view of each picture",
        "written": f"{facts['date']}, after {facts['seconds']:.0f} s",
    }


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
        try:
            predictor = make_predictor(dataclasses.replace(settings, restore_from=str(path)))
        except UserError:
            if index_of(path).exists() or path == paths[-1]:
                raise
            print(f"{path.name}: its run has removed it meanwhile")
            continue
        reader = reader_of(settings, predictor)
        if not rows:
            begin(settings, reader, predictor)
        rows[path.name] = _label(predictor, reader)[0].whole
    best = max(rows.values(), key=lambda matrix: np.nan_to_num(matrix.mean_iou))
    print(f"\n{'checkpoint':<{pad}}{'mean IoU':>10}{'pixels':>9}")
    for name, matrix in rows.items():
        mark = "  best" if matrix is best else ""
        print(f"{name:<{pad}}{matrix.mean_iou:>10.2%}{matrix.pixel_accuracy:>9.2%}{mark}")


def _label(
    predictor: Predictor, reader: ImageReader, add: Callable[..., None] | None = None
) -> tuple[PerPicture, float]:
    """Label the reader's pictures, and return what became of them and the seconds it took.

    add: is called with each sample, truth, prediction and segmentation.
    """
    pictures = PerPicture(predictor.class_names)

    def finish(picture: Picture, segmentation: Segmentation) -> float:
        (sample, _, truth), prediction = picture, segmentation.labels()
        pictures.add(sample.name, truth, prediction)
        if add:
            add(sample, truth, prediction, segmentation)
        return pictures.whole.mean_iou

    return pictures, segment_all(predictor, reader.pictures(), len(reader.samples), finish)


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
