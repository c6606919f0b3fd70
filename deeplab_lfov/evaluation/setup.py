"""What every task of evaluate.py begins with: workers, network, list, and what is printed first."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from deeplab_lfov.console import progress
from deeplab_lfov.data.image_files import check_replaceable, image_size
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.layout import palette_in
from deeplab_lfov.data.list_files import read_list
from deeplab_lfov.data.palette import Palette, classes_from, palette_of
from deeplab_lfov.data.samples import Sample
from deeplab_lfov.data.sense import summarize
from deeplab_lfov.distributed.fingerprint import fingerprint
from deeplab_lfov.distributed.meeting import Meeting
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.settings import EvaluationSettings
from deeplab_lfov.files import distinct_stems, writable_folder
from deeplab_lfov.inference.predictor import Predictor, print_network
from deeplab_lfov.voc import VOID
from deeplab_lfov.weights.formats import read_weights
from deeplab_lfov.weights.pretrained import PRETRAINED

Picture = tuple[Sample, np.ndarray, np.ndarray]
"""(sample, image uint8 RGB [H, W, 3], labels uint8 [H, W])"""


def connect(meeting: Meeting, settings: EvaluationSettings) -> Replicas:
    """Join the workers that share the list, after a look at what a user may have mistyped."""
    replicas = Replicas(meeting.cluster, most=1)
    if settings.voc_submission and replicas.num_workers > 1:
        raise UserError("--voc_submission is for one process; start it without TF_CONFIG")
    if replicas.num_workers > 1:
        tensors = read_weights(settings.restore_from)
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
    are_known = classes.names or len(palette.colors)  # VOC's layout has its colours
    if not are_known and settings.restore_from == str(PRETRAINED):
        raise UserError(
            "no weights are named, and the network that comes along knows VOC's classes, which "
            f"nothing says that the masks of {settings.data_dir} hold; add --restore_from"
        )
    if classes.names and stored.are_named and not settings.class_names:
        classes.check_same(stored, settings.palette or settings.data_dir, settings.restore_from)
    if classes.names:
        predictor.classes = classes._replace(colors=classes.colors or stored.colors)
    return predictor


def reader_of(
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
    check_sizes_of(settings, predictor, samples)
    reader.samples = replicas.share(samples)
    return reader, samples


def _palette(settings: EvaluationSettings, predictor: Predictor) -> Palette:
    """Return the colours of the truth: the data set's, else those the network was trained with."""
    palette = palette_in(settings.data_dir, settings.palette)
    return palette if len(palette.colors) else palette_of(predictor.classes)


def check_masks(
    settings: EvaluationSettings, reader: ImageReader, samples: Sequence[Sample], show: bool
) -> None:
    """Raise UserError for masks that cannot be read or make no sense; show draws a bar."""
    names, given = range(reader.num_classes), settings.ignore_label is not None
    summarize(samples, reader.labels_of, settings.data_list, names, given, show)


def check_sizes_of(
    settings: EvaluationSettings, predictor: Predictor, samples: Sequence[Sample]
) -> None:
    """Raise UserError for a picture that is larger than what pictures are padded to."""
    for sample in samples if settings.input_size else ():
        try:
            predictor.check_size(*image_size(sample.image))
        except UserError as error:
            raise UserError(f"{sample.image}: {error}", sample.image) from error


def mask_paths(save_dir: str | None, samples: Sequence[Sample]) -> list[Path | None]:
    """Return where each sample's mask goes; raises UserError where something else has its place."""
    if save_dir is None:
        return [None] * len(samples)
    folder = writable_folder(save_dir)
    paths = [folder / f"{stem}.png" for stem in distinct_stems(s.image for s in samples)]
    for path in paths:
        check_replaceable(path)
    return paths


def run_all(finished: Iterable[Future], num_images: int, replicas: Replicas) -> float:
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


def print_plan(
    settings: EvaluationSettings, pictures: str, predictor: Predictor, replicas: Replicas
) -> None:
    """Print the data, the network, the views and the devices."""
    if replicas.is_chief:
        print(f"data     {pictures} in {settings.data_list}")
        print_network(predictor, settings.restore_from, str(replicas), settings.precision)
