"""What a run learns from: its lists, a first look at what is in them, and the classes' weights."""

from typing import NamedTuple

from deeplab_lfov.console import progress
from deeplab_lfov.data.class_weights import balanced, read_class_weights
from deeplab_lfov.data.dataset_check import DatasetSummary, look_at
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.data.palette import read_palette
from deeplab_lfov.errors import UserError
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.voc import class_names_of


class Readers(NamedTuple):
    """The readers of a run's lists."""

    train: ImageReader
    """Scales and mirrors."""
    val: ImageReader | None


def make_readers(settings: TrainSettings) -> Readers:
    """Make the readers of the lists that settings name; raises UserError as ImageReader does."""
    masks = {
        "num_classes": settings.num_classes,
        "ignore_label": settings.ignore_label,
        "palette": read_palette(settings.palette) if settings.palette else None,
    }
    train = ImageReader(
        settings.data_dir,
        settings.data_list,
        scale_range=settings.scale_range if settings.random_scale else (1.0, 1.0),
        random_mirror=settings.random_mirror,
        seed=settings.seed,
        **masks,
    )
    if not settings.val_list:
        return Readers(train, None)
    return Readers(train, ImageReader(settings.data_dir, settings.val_list, **masks))


def first_look(readers: Readers, class_names: tuple[str, ...], show: bool) -> DatasetSummary:
    """Look at all masks, and return a summary of the training list.

    show: print bars, and what was found. Raises UserError where training would stop at a file.
    """
    summaries = [summarize(reader, class_names, show) for reader in readers if reader]
    if show:
        for line in "\n".join(each.short() for each in summaries).splitlines():
            print(f"data     {line}")
    return summaries[0]


def find_class_weights(
    settings: TrainSettings, readers: Readers, summary: DatasetSummary | None, show: bool
) -> list[float] | None:
    """Return the weight of each class in the loss, or None where all weigh the same.

    summary: of the training list, if it has been looked at. Raises UserError for a file of weights
    that does not fit, and where training would stop at a mask.
    """
    if settings.class_weights == "balanced":
        names = class_names_of(settings.num_classes)
        summary = summary or summarize(readers.train, names, show)
        return list(balanced(summary.label_counts, settings.num_classes))
    if settings.class_weights:
        return list(read_class_weights(settings.class_weights, settings.num_classes))
    return None


def summarize(reader: ImageReader, class_names: tuple[str, ...], show: bool) -> DatasetSummary:
    """Look at every mask of a list; raises UserError where training would stop at a file."""
    findings = look_at(reader.samples, reader.labels_of, decode=False)
    findings = progress(findings, len(reader.samples), "masks checked", keep=False, show=show)
    summary = DatasetSummary(class_names, list(findings))
    if summary.faults:
        raise UserError(
            f"training would stop at {len(summary.faults)} of {len(reader.samples)} pictures: "
            f"{summary.faults[0]}; util/check_dataset.py lists all"
        )
    return summary
