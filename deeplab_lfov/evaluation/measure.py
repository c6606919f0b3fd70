"""The metric of evaluate.py: of a checkpoint, against another, or of all that a run has kept."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.comparison import (
    Comparison,
    Evaluated,
    check_comparable,
    evaluated,
    read_evaluated,
)
from deeplab_lfov.evaluation.evaluator import Evaluation
from deeplab_lfov.evaluation.settings import EvaluationSettings
from deeplab_lfov.evaluation.setup import (
    Picture,
    check_masks,
    make_predictor,
    mask_paths,
    print_plan,
    reader_of,
    run_all,
)
from deeplab_lfov.files import whole_file, writable_json
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.weights.formats import locate
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in


def measure(settings: EvaluationSettings, predictor: Predictor, replicas: Replicas) -> None:
    """Print the mean IoU, and write the numbers, the masks and the report that were asked for."""
    reader, samples = reader_of(settings, predictor, replicas)
    masks = replicas.share(mask_paths(settings.save_dir, samples))
    if settings.json:
        writable_json(settings.json, "mean_iou")
    evaluation = Evaluation(
        predictor.classes,
        settings.trimap,
        settings.report,
        settings.bf,
        per_picture=bool(settings.json or settings.compare),
        numbers=replicas.share(range(len(samples))),
        is_chief=replicas.is_chief,
    )
    before = _before(settings, predictor, samples)
    check_masks(settings, reader, samples, replicas.is_chief)
    print_plan(settings, f"{len(samples)} pictures with masks", predictor, replicas)
    seconds = _label(predictor, reader, masks, evaluation, replicas)
    evaluation.gather(samples, replicas)
    comparison = None
    if before:
        theirs = before(reader, replicas)
        comparison = Comparison(_evaluated(settings.restore_from, samples, evaluation), theirs)
    if replicas.is_chief:
        print(f"\n{evaluation}\n\n{len(samples)} pictures in {seconds:.1f} s")
        if comparison:
            print(f"\n{comparison}")
        _write(settings, predictor, evaluation, comparison, samples, seconds)


def measure_all(settings: EvaluationSettings, replicas: Replicas) -> None:
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
        reader, samples = reader_of(settings, predictor, replicas)
        if path == paths[0]:
            check_masks(settings, reader, samples, replicas.is_chief)
            print_plan(settings, f"{len(samples)} pictures with masks", predictor, replicas)
        evaluation = Evaluation(predictor.classes)
        _label(predictor, reader, [None] * len(reader.samples), evaluation, replicas)
        evaluation.gather(samples, replicas)
        rows[path.name] = evaluation.matrix
    if replicas.is_chief:
        best = max(rows.values(), key=lambda matrix: np.nan_to_num(matrix.mean_iou))
        print(f"\n{'checkpoint':<{pad}}{'mean IoU':>10}{'pixels':>9}")
        for name, matrix in rows.items():
            mark = "  best" if matrix is best else ""
            print(f"{name:<{pad}}{matrix.mean_iou:>10.2%}{matrix.pixel_accuracy:>9.2%}{mark}")


def _label(
    predictor: Predictor,
    reader: ImageReader,
    masks: Sequence[Path | None],
    evaluation: Evaluation,
    replicas: Replicas,
) -> float:
    """Label the reader's pictures, add them to the evaluation, and write their masks.

    Returns the seconds it took.
    """

    def begin(item: tuple[Picture, Path | None]) -> Segmentation:
        (_, image, _), _ = item
        return predictor.segment(image)

    def finish(item: tuple[Picture, Path | None], segmentation: Segmentation) -> float:
        ((sample, _, truth), mask), prediction = item, segmentation.labels()
        evaluation.add(sample, truth, prediction)
        if mask:
            write_mask(mask, prediction, colors=predictor.classes.table)
        return evaluation.matrix.mean_iou

    pictures = zip(reader.pictures(), masks, strict=True)
    return run_all(overlapped(pictures, begin, finish), len(masks), replicas)


def _before(
    settings: EvaluationSettings, predictor: Predictor, samples: Sequence[Sample]
) -> Callable[[ImageReader, Replicas], Evaluated] | None:
    """Return what gives the evaluation to compare with: a file that is read now, or a checkpoint.

    Raises UserError where it is neither, or of another list or other classes.
    """
    if not settings.compare:
        return None
    names = [sample.name for sample in samples]
    if Path(settings.compare).suffix == ".json":
        theirs = read_evaluated(settings.compare)
        check_comparable(predictor.class_names, names, theirs)
        return lambda *_: theirs
    other = make_predictor(dataclasses.replace(settings, restore_from=settings.compare))
    predictor.classes.check_same(other.classes, settings.restore_from, settings.compare)

    def measure_other(reader: ImageReader, replicas: Replicas) -> Evaluated:
        evaluation = Evaluation(other.classes, per_picture=True)
        _label(other, reader, [None] * len(reader.samples), evaluation, replicas)
        evaluation.gather(samples, replicas)
        return _evaluated(settings.compare, samples, evaluation)

    return measure_other


def _evaluated(where: str, samples: Sequence[Sample], evaluation: Evaluation) -> Evaluated:
    return evaluated(where, [sample.name for sample in samples], evaluation.per_picture)


def _write(
    settings: EvaluationSettings,
    predictor: Predictor,
    evaluation: Evaluation,
    comparison: Comparison | None,
    samples: Sequence[Sample],
    seconds: float,
) -> None:
    """Write the report and the numbers, where they were asked for."""
    date, place = datetime.now().isoformat(" ", "seconds"), str(locate(settings.restore_from))
    if evaluation.report:
        facts = {
            "checkpoint": place,
            "network": str(predictor.model),
            "pictures": f"{len(samples)} of {settings.data_list} in {settings.data_dir}",
            "test time": str(predictor) or "one view of each picture",
            "written": f"{date}, after {seconds:.0f} s",
        }
        parts = evaluation.matrix, evaluation.per_picture, facts, evaluation.trimap, evaluation.bf
        print(f"report   {evaluation.report.write(*parts)}")
    if settings.json:
        numbers = evaluation.as_dict() | {
            "num_images": len(samples),
            "seconds": seconds,
            "checkpoint": place,
            "data_list": settings.data_list,
            "date": date,
            "views": str(predictor),
            "precision": settings.precision,
            "pictures": evaluation.per_picture.as_list([sample.name for sample in samples]),
        }
        numbers |= {"compared": comparison.as_dict()} if comparison else {}
        with whole_file(settings.json) as partial:
            partial.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
