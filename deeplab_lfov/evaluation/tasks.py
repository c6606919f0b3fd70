"""The tasks of evaluate.py: the metric, a search for a CRF, and masks for VOC's test server."""

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from deeplab_lfov.console import progress
from deeplab_lfov.data.image_files import check_replaceable, image_size, read_image, write_mask
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.layout import palette_in
from deeplab_lfov.data.list_files import read_list
from deeplab_lfov.data.palette import Palette, classes_from, palette_of
from deeplab_lfov.data.samples import Sample
from deeplab_lfov.data.sense import summarize
from deeplab_lfov.distributed.fingerprint import fingerprint
from deeplab_lfov.distributed.meeting import Meeting
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.evaluation.crf_search import CRFSearch
from deeplab_lfov.evaluation.evaluator import Evaluation
from deeplab_lfov.evaluation.settings import EvaluationSettings
from deeplab_lfov.evaluation.submission import VocSubmission, check_ids
from deeplab_lfov.files import distinct_stems, whole_file, writable_folder, writable_json
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.network.arithmetic import device_lines
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.voc import CLASS_NAMES, VOID
from deeplab_lfov.weights.formats import locate, read_tensors

Picture = tuple[Sample, np.ndarray, np.ndarray]
"""(sample, image uint8 RGB [H, W, 3], labels uint8 [H, W])"""


def connect(meeting: Meeting, settings: EvaluationSettings) -> Replicas:
    """Join the workers that share the list, after a look at what a user may have mistyped."""
    replicas = Replicas(meeting.cluster, most=1)
    if settings.voc_submission and replicas.num_workers > 1:
        raise UserError("--voc_submission is for one process; start it without TF_CONFIG")
    if replicas.num_workers > 1:
        tensors = read_tensors(settings.restore_from)
        samples = read_list(settings.data_dir, settings.data_list)[: settings.num_steps]
        names = [sample.image.name for sample in samples]
        meeting.wait(fingerprint(settings.decisive(), names, tensors))
        replicas.connect()
    return replicas


def make_predictor(settings: EvaluationSettings) -> Predictor:
    """Load the network, with the classes of the settings or the data set, if these name them.

    Raises UserError as `Predictor` does, and where the data set has other classes than the network.
    """
    options = settings.options() | ({"crf": None} if settings.crf_search else {})
    predictor = Predictor(settings.restore_from, **options)
    palette, stored = palette_in(settings.data_dir, settings.palette), predictor.classes
    classes = classes_from(settings.class_names, palette, predictor.model.num_classes)
    if classes.names and stored.are_named and not settings.class_names:
        classes.check_same(stored, settings.palette or settings.data_dir, settings.restore_from)
    if classes.names:
        predictor.classes = classes._replace(colors=classes.colors or stored.colors)
    return predictor


def measure(settings: EvaluationSettings, predictor: Predictor, replicas: Replicas) -> None:
    """Print the mean IoU, and write the numbers, the masks and the report that were asked for."""
    reader, samples = _reader(settings, predictor, replicas)
    masks = replicas.share(_mask_paths(settings.save_dir, samples))
    if settings.json:
        writable_json(settings.json, "mean_iou")
    evaluation = Evaluation(predictor.classes, settings.trimap, settings.report, settings.bf)
    _check_masks(settings, reader, samples, replicas.is_chief)
    _print_plan(settings, f"{len(samples)} pictures with masks", predictor, replicas)

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
    seconds = _run(overlapped(pictures, begin, finish), len(masks), replicas)
    evaluation.gather(samples, replicas)
    if replicas.is_chief:
        print(f"\n{evaluation}\n\n{len(samples)} pictures in {seconds:.1f} s")
        _write(settings, predictor, evaluation, len(samples), seconds)


def search(settings: EvaluationSettings, predictor: Predictor, replicas: Replicas) -> None:
    """Print the mean IoU of the CRFs around the one that the settings have, and the best."""
    reader, samples = _reader(settings, predictor, replicas)
    crfs = CRFSearch(settings.crf, settings.crf_search, predictor.class_names)
    _check_masks(settings, reader, samples, replicas.is_chief)
    _print_plan(settings, f"{len(samples)} pictures with masks", predictor, replicas)
    if replicas.is_chief:
        print(f"search   {len(crfs.matrices)} CRFs around {settings.crf}")

    def begin(picture: Picture) -> Segmentation:
        _, image, _ = picture
        return predictor.segment(image)

    def finish(picture: Picture, segmentation: Segmentation) -> float:
        _, image, truth = picture
        crfs.update(image, truth, segmentation.probabilities())
        return crfs.matrices[crfs.best].mean_iou

    seconds = _run(overlapped(reader.pictures(), begin, finish), len(reader.samples), replicas)
    for matrix in (crfs.without, *crfs.matrices.values()):
        matrix.counts = replicas.sum(matrix.counts)
    if replicas.is_chief:
        print(f"\n{crfs}\n{len(samples)} pictures in {seconds:.1f} s; {crfs.verdict()}")


def submit(settings: EvaluationSettings, predictor: Predictor, replicas: Replicas) -> None:
    """Write the archive for VOC's test server."""
    if predictor.model.num_classes != len(CLASS_NAMES):
        raise UserError(
            f"VOC's test server knows {len(CLASS_NAMES)} classes and {settings.restore_from} has "
            f"{predictor.model.num_classes}"
        )
    samples = read_list(settings.data_dir, settings.data_list, masks=False)[: settings.num_steps]
    check_ids(sample.name for sample in samples)
    _check_sizes(settings, predictor, samples)
    masks = _mask_paths(settings.save_dir, samples)
    submission = VocSubmission(settings.voc_submission)
    _print_plan(settings, f"{len(samples)} pictures", predictor, replicas)

    def begin(item: tuple[Sample, Path | None]) -> Segmentation:
        sample, _ = item
        return predictor.segment(read_image(sample.image))

    def finish(item: tuple[Sample, Path | None], segmentation: Segmentation) -> None:
        (sample, mask), labels = item, segmentation.labels()
        submission.add(sample.name, labels)
        if mask:
            write_mask(mask, labels)

    with submission:
        work = zip(samples, masks, strict=True)
        seconds = _run(overlapped(work, begin, finish), len(samples), replicas)
    print(f"{len(samples)} masks in {settings.voc_submission} in {seconds:.1f} s")


def _run(finished: Iterable[Future], num_images: int, replicas: Replicas) -> float:
    """Wait for all pictures, whose results are the mean IoU so far; return the seconds it took.

    Of several workers each finishes its share, and only the chief shows how far it is.
    """
    start, show = time.perf_counter(), replicas.is_chief
    with (
        replicas.watching() as check_others,
        progress(finished, num_images, "pictures", show=show) as bar,
    ):
        for picture in bar:
            mean_iou = picture.result()
            check_others()
            if mean_iou is not None:
                bar.set_postfix_str(f"mean IoU {mean_iou:.4f}", refresh=False)
    return time.perf_counter() - start


def _reader(
    settings: EvaluationSettings, predictor: Predictor, replicas: Replicas
) -> tuple[ImageReader, list[Sample]]:
    """Return a reader of this worker's share of the samples that are wanted, and all of those.

    Raises UserError as ImageReader does.
    """
    reader = ImageReader(
        settings.data_dir,
        settings.data_list,
        num_classes=predictor.model.num_classes,
        ignore_label=VOID if settings.ignore_label is None else settings.ignore_label,
        palette=_palette(settings, predictor),
    )
    samples = reader.samples[: settings.num_steps]
    _check_sizes(settings, predictor, samples)
    reader.samples = replicas.share(samples)
    return reader, samples


def _palette(settings: EvaluationSettings, predictor: Predictor) -> Palette:
    """Return the colours of the truth: the data set's, else those the network was trained with."""
    palette = palette_in(settings.data_dir, settings.palette)
    return palette if len(palette.colors) else palette_of(predictor.classes)


def _check_masks(
    settings: EvaluationSettings, reader: ImageReader, samples: Sequence[Sample], show: bool
) -> None:
    """Raise UserError for masks that cannot be read or make no sense; show draws a bar."""
    names, given = range(reader.num_classes), settings.ignore_label is not None
    summarize(samples, reader.labels_of, settings.data_list, names, given, show)


def _check_sizes(
    settings: EvaluationSettings, predictor: Predictor, samples: Sequence[Sample]
) -> None:
    """Raise UserError for a picture that is larger than what pictures are padded to."""
    for sample in samples if settings.input_size else ():
        try:
            predictor.check_size(*image_size(sample.image))
        except UserError as error:
            raise UserError(f"{sample.image}: {error}", sample.image) from error


def _mask_paths(save_dir: str | None, samples: Sequence[Sample]) -> list[Path | None]:
    if save_dir is None:
        return [None] * len(samples)
    folder = writable_folder(save_dir)
    paths = [folder / f"{stem}.png" for stem in distinct_stems(s.image for s in samples)]
    for path in paths:
        check_replaceable(path)
    return paths


def _print_plan(
    settings: EvaluationSettings, pictures: str, predictor: Predictor, replicas: Replicas
) -> None:
    if replicas.is_chief:
        print(f"data     {pictures} in {settings.data_list}")
        print(printable(f"network  {predictor.model}, from {locate(settings.restore_from)}"))
        if str(predictor):
            print(f"views    {predictor}")
        print("\n".join(device_lines(str(replicas), settings.precision)))


def _write(
    settings: EvaluationSettings,
    predictor: Predictor,
    evaluation: Evaluation,
    num_images: int,
    seconds: float,
) -> None:
    """Write the report and the numbers, where they were asked for."""
    if evaluation.report:
        facts = {
            "checkpoint": str(locate(settings.restore_from)),
            "network": str(predictor.model),
            "list": settings.data_list,
            "pictures": str(num_images),
            "test time": str(predictor) or "one view of each picture",
        }
        page = evaluation.report.write(evaluation.matrix, facts, evaluation.trimap)
        print(f"report   {page}")
    if settings.json:
        numbers = evaluation.as_dict() | {"num_images": num_images, "seconds": seconds}
        with whole_file(settings.json) as partial:
            partial.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
