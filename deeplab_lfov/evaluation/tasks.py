"""Two tasks of evaluate.py beside the metric: a search for a CRF, and masks for the test server."""

from pathlib import Path

from deeplab_lfov.data.image_files import read_image, write_mask
from deeplab_lfov.data.list_files import Sample, read_list
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.crf_search import CRFSearch
from deeplab_lfov.evaluation.settings import EvaluationSettings
from deeplab_lfov.evaluation.setup import (
    Picture,
    check_masks,
    check_sizes_of,
    mask_paths,
    print_plan,
    reader_of,
    run_all,
)
from deeplab_lfov.evaluation.submission import VocSubmission, check_ids
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.voc import CLASS_NAMES


def search(settings: EvaluationSettings, predictor: Predictor, replicas: Replicas) -> None:
    """Print the mean IoU of the CRFs around the one that the settings have, and the best."""
    reader, samples = reader_of(settings, predictor, replicas)
    crfs = CRFSearch(settings.crf, settings.crf_search, predictor.class_names)
    check_masks(settings, reader, samples, replicas.is_chief)
    print_plan(settings, f"{len(samples)} pictures with masks", predictor, replicas)
    if replicas.is_chief:
        print(f"search   {len(crfs.matrices)} CRFs around {settings.crf}")

    def begin(picture: Picture) -> Segmentation:
        _, image, _ = picture
        return predictor.segment(image)

    def finish(picture: Picture, segmentation: Segmentation) -> float:
        _, image, truth = picture
        crfs.update(image, truth, segmentation.probabilities())
        return crfs.matrices[crfs.best].mean_iou

    seconds = run_all(overlapped(reader.pictures(), begin, finish), len(reader.samples), replicas)
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
    check_sizes_of(settings, predictor, samples)
    masks = mask_paths(settings.save_dir, samples)
    submission = VocSubmission(settings.voc_submission)
    print_plan(settings, f"{len(samples)} pictures", predictor, replicas)

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
        seconds = run_all(overlapped(work, begin, finish), len(samples), replicas)
    print(f"{len(samples)} masks in {settings.voc_submission} in {seconds:.1f} s")
