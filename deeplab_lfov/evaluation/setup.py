"""What the tasks of evaluate.py share: network, list, what is printed first, and the loop."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.console import print_warning, progress
from deeplab_lfov.data.class_files import classes_from, classes_in
from deeplab_lfov.data.dataset_check import summarize
from deeplab_lfov.data.faint_pictures import faint
from deeplab_lfov.data.image_files import (
    PREDICTED,
    SOFTWARE,
    check_replaceable,
    image_size,
    is_output,
)
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.list_files import MASK_FOLDERS, Sample
from deeplab_lfov.distributed.devices import make_visible
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.evaluation.settings import EvaluationSettings, MaskSettings, TruthSettings
from deeplab_lfov.files import output_names, writable_folder
from deeplab_lfov.inference.predictor import Predictor, print_network
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.weights.eight_bits import PRETRAINED

Picture = tuple[Sample, np.ndarray, np.ndarray | None]
"""(sample, image uint8 RGB [H, W, 3], labels uint8 [H, W], where a task needs them)"""


def make_predictor(settings: TruthSettings) -> Predictor:
    """Load the network, with the classes of the settings or the data set, if these name them.

    Raises UserError where the data set has other classes.
    """
    predictor = Predictor(settings.restore_from, **settings.options())
    known, stored = classes_in(settings.data_dir, settings.palette), predictor.classes
    classes = classes_from(settings.class_names, known, predictor.model.num_classes)
    are_known = classes.names or known.colors  # VOC's layout has its colours
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


def reader_of(settings: TruthSettings, predictor: Predictor) -> ImageReader:
    """Return a reader of the pictures that are wanted; raises UserError as ImageReader does.

    The colours of masks are the data set's, else those that the network was trained with.
    """
    known = classes_in(settings.data_dir, settings.palette)
    reader = ImageReader(
        settings.data_dir,
        settings.data_list,
        num_classes=predictor.model.num_classes,
        ignore_label=settings.ignore_label,
        palette=known if known.colors else predictor.classes,
    )
    reader.samples = reader.samples[: settings.num_steps]
    check_sizes_of(predictor, reader.samples)
    return reader


def check_sizes_of(predictor: Predictor, samples: Sequence[Sample]) -> None:
    """Raise UserError for a picture that is larger than what pictures are padded to."""
    for sample in samples if predictor.input_size else ():
        try:
            predictor.check_size(*image_size(sample.image))
        except UserError as error:
            raise UserError(f"{sample.image}: {error}", sample.image) from error


def mask_paths(settings: MaskSettings, samples: Sequence[Sample]) -> list[Path]:
    """Return where each sample's mask goes, if anywhere.

    Raises UserError for a taken place, and for a folder of the data set's pictures or masks.
    """
    if settings.save_dir is None:
        return []
    names = output_names([sample.image for sample in samples])
    paths = [Path(settings.save_dir, f"{name}.png") for name in names]
    read = {path.parent.resolve() for sample in samples for path in sample if path}
    read |= {Path(settings.data_dir, name).resolve() for name in MASK_FOLDERS}
    for folder in {path.parent for path in paths}:
        if folder.resolve() in read:
            raise UserError(f"lists look into {folder} for the truth; give another --save_dir")
        writable_folder(folder)
    for path in paths:
        check_replaceable(path)
    return paths


def begin(settings: TruthSettings, reader: ImageReader, predictor: Predictor) -> np.ndarray:
    """Look at all masks, print what will be done, and return the pixels of each label, int64 [256].

    Raises UserError for masks at fault, and for predictions that nobody calls the truth.
    """
    masks = [sample.mask for sample in reader.samples]
    found = [mask for mask in masks if is_output(mask, SOFTWARE, PREDICTED)]
    if found and not settings.predicted_truth:
        raise UserError(
            f"{len(found)} of the {len(masks)} masks of {settings.data_list} are predictions of "
            f"this program: {few(found)}; if somebody has corrected them, add --predicted_truth"
        )
    names, given = range(reader.num_classes), settings.ignore_label is not None
    summary = summarize(reader.samples, reader.labels_of, settings.data_list, names, given)
    for line in faint([sample.image for sample in reader.samples]):
        print_warning(line)
    print_plan(settings, f"{len(reader.samples)} pictures with masks", predictor)
    return summary.label_counts


def print_plan(settings: EvaluationSettings, pictures: str, predictor: Predictor) -> None:
    """Print the data, the network, the views and the device."""
    print(f"data     {pictures} in {settings.data_list}")
    _, (device,) = make_visible(None, most=1)
    print_network(predictor, settings.restore_from, device, settings.precision)


def segment_all(
    predictor: Predictor,
    pictures: Iterable[Picture],
    number: int,
    finish: Callable[[Picture, Segmentation], float | None],
) -> float:
    """Segment so many pictures, finish each in a thread, in order, and return the seconds it took.

    finish: returns the mean IoU so far, if there is one, for the bar.
    """
    start = time.perf_counter()
    finished = overlapped(pictures, lambda picture: predictor.segment(picture[1]), finish)
    with progress(finished, number, "pictures") as bar:
        for picture in bar:
            if (mean_iou := picture.result()) is not None:
                bar.set_postfix_str(f"mean IoU {mean_iou:.4f}", refresh=False)
    return time.perf_counter() - start
