"""Makes of settings what trains: the readers of the data set, its classes, and the network."""

import os
import sys
from typing import NamedTuple

from deeplab_lfov.classes import Classes, voc_classes
from deeplab_lfov.data.class_files import (
    POWERS,
    balanced,
    classes_from,
    classes_in,
    read_class_weights,
    read_palette,
)
from deeplab_lfov.data.dataset_check import DatasetSummary, doubts, summarize
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.network.layers import HEAD, layers_to
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start
from deeplab_lfov.weights.checkpoints import check_fit, set_parameters


class Readers(NamedTuple):
    """The readers of a run's lists; that of the training list scales and mirrors."""

    train: ImageReader
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
        order_by=settings.order_by,
        **masks,
    )
    if not settings.val_list:
        return Readers(train, None)
    return Readers(train, ImageReader(settings.data_dir, settings.val_list, **masks))


def check_memory(settings: TrainSettings, num_workers: int) -> None:
    """Raise UserError where the crops of a pass alone are more than this machine's memory."""
    height, width = settings.input_size
    crops = settings.batch_size // num_workers * height * width * 3 * 4
    if crops > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise UserError(
            f"the crops of --batch_size {settings.batch_size} are {crops / 1e9:,.0f} GB, more "
            "memory than this machine has; lower it"
        )


def first_look(
    settings: TrainSettings, readers: Readers, classes: Classes, show: bool
) -> DatasetSummary:
    """Look at all masks, and return a summary of the training list.

    show: print bars, what was found, and what is in doubt. Raises UserError as `summarize` does.
    """
    summaries = [_summary(settings, readers.train, settings.data_list, classes, show)]
    if readers.val:
        summaries.append(_summary(settings, readers.val, settings.val_list, classes, show))
    if show:
        for line in "\n".join(each.short() for each in summaries).splitlines():
            print(f"data     {line}")
        for doubt in doubts(summaries[0], readers.train.samples, classes):
            print(printable(f"warning: {doubt}"), file=sys.stderr)
    return summaries[0]


def _summary(
    settings: TrainSettings, reader: ImageReader, name: str, classes: Classes, show: bool
) -> DatasetSummary:
    given = settings.ignore_label is not None
    return summarize(reader.samples, reader.labels_of, name, classes.names, given, show)


def find_class_weights(
    settings: TrainSettings,
    readers: Readers,
    classes: Classes,
    summary: DatasetSummary | None,
    show: bool,
) -> list[float] | None:
    """Return the weight of each class in the loss, or None where all weigh the same.

    summary: of the training list, if it has been looked at. Raises UserError for a file that does
    not fit, and as `summarize` does.
    """
    given = settings.class_weights
    if given in POWERS:
        summary = summary or _summary(settings, readers.train, settings.data_list, classes, show)
        return list(balanced(summary.label_counts, settings.num_classes, POWERS[given]))
    if given in (None, "none"):
        return None
    return list(read_class_weights(given, settings.num_classes))


def find_classes(settings: TrainSettings, start: Start) -> Classes:
    """Name and colour the classes: as the data set does, else as the weights do, else as VOC does.

    Raises UserError for files that do not fit, and where weights whose last layer is kept call the
    classes otherwise.
    """
    fit, keeps_head = start.fit, start.run or not _afresh(settings, start)
    fits = fit and keeps_head and fit.num_classes == settings.num_classes
    stored, own = fit.classes if fits else None, Classes()
    if not start.is_of_version_1_0:  # which was not asked what the data set calls its classes
        own = classes_in(settings.data_dir, settings.palette)
    where = settings.palette or settings.data_dir, start.path
    if start.run:
        if own.names and not settings.class_names:
            own.check_same(stored, *where, "restore it, or start another run")
        return stored
    classes = classes_from(settings.class_names, own, settings.num_classes)
    if classes.names and stored and stored.are_named and not settings.class_names:
        classes.check_same(stored, *where)
    return classes if classes.names else stored or voc_classes(settings.num_classes)


def check_weights(settings: TrainSettings, start: Start) -> None:
    """Raise UserError unless the weights to start from fit the network; a run is checked later."""
    if start.tensors and not start.run:
        shape = settings.num_classes, settings.width
        check_fit(start.tensors, *shape, settings.restore_from, _afresh(settings, start))


def make_network(settings: TrainSettings, start: Start) -> DeepLabLFOVModel:
    """Make the network, with the weights to start from in it; those of a run come later.

    Raises UserError where they do not fit.
    """
    model = DeepLabLFOVModel(
        settings.num_classes,
        settings.width,
        dropout=settings.dropout,
        precision=settings.precision,
        seed=settings.seed,
        frozen=layers_to(settings.freeze) if settings.freeze else (),
    )
    if start.tensors and not start.run:
        afresh = _afresh(settings, start)
        set_parameters(model, start.tensors, settings.restore_from, afresh)
        model.start_afresh(afresh, settings.seed)
    return model


def _afresh(settings: TrainSettings, start: Start) -> tuple[str, ...]:
    """Name the layers that start afresh here: the last, if it is to, or never learned."""
    untrained = start.fit.untrained if start.fit else ()
    return (HEAD,) if settings.not_restore_last or HEAD in untrained else ()
