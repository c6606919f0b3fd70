"""Makes of settings what trains: the readers of the data set, its classes, and the network."""

import os
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes, voc_classes
from deeplab_lfov.console import print_warning
from deeplab_lfov.data.class_files import (
    POWERS,
    balanced,
    classes_from,
    classes_in,
    read_class_weights,
    read_palette,
)
from deeplab_lfov.data.dataset_check import DatasetSummary, doubts, summarize
from deeplab_lfov.data.image_reader import Hook, ImageReader
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.network.layers import HEAD, LAYERS, STRIDE, layers_to, num_cells
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start
from deeplab_lfov.weights.checkpoints import check_fit, set_parameters


class Readers(NamedTuple):
    """The readers of a run's lists; that of the training list scales and mirrors."""

    train: ImageReader
    val: ImageReader | None


def make_readers(settings: TrainSettings, hook: Hook | None = None) -> Readers:
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
        augment=settings.augment,
        rare_crops=settings.rare_crops,
        hook=hook,
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
    settings: TrainSettings, readers: Readers, classes: Classes, show: bool, resumes: bool = False
) -> DatasetSummary | None:
    """Look at all masks where a run begins, and return a summary of the training list.

    Else only at that list, if labels have to be counted. show: print bars, what was found, and what
    is in doubt. Raises UserError as `summarize` does.
    """
    begins, given = settings.check_data and not resumes, settings.ignore_label is not None
    counts = settings.class_weights in POWERS or (settings.rare_crops and not settings.rare_classes)
    lists = (readers.train, settings.data_list), (readers.val, settings.val_list)
    summaries = [
        summarize(reader.samples, reader.labels_of, name, classes.names, given, show)
        for reader, name in lists[: 2 if begins else int(bool(counts))]
        if reader
    ]
    if show and begins:
        for line in "\n".join(each.short() for each in summaries).splitlines():
            print(f"data     {line}")
        found = doubts(summaries[0], readers.train.samples, classes)
        for doubt in found + doubts_of_crops(settings, summaries[0]):
            print_warning(doubt)
    return summaries[0] if summaries else None


def doubts_of_crops(settings: TrainSettings, summary: DatasetSummary) -> list[str]:
    """Tell of crops that have few cells, or are mostly padding, a line each."""
    size, lines, reach = settings.input_size, [], max(layer.dilation for layer in LAYERS)
    crops, cells = "crops of {} x {} pixels".format(*size), [*map(num_cells, size)]
    if min(cells) <= reach:
        lines.append(
            f"{crops} are {cells[0]} x {cells[1]} cells to fc6, whose outer weights, {reach} cells "
            f"away, see padding alone and learn nothing; take --input_size {STRIDE * reach + 1}"
        )
    filled = np.minimum(np.multiply([*summary.sizes], np.mean(settings.scale_range)) / size, 1)
    share = np.average(filled.prod(axis=1), weights=[*summary.sizes.values()])
    if share < 0.5:
        lines.append(
            f"images fill {share:.0%} of {crops}, and the rest is padding: lower --input_size, or "
            "enlarge small images, by --scale_range 2,3 for example"
        )
    return lines


def find_class_weights(settings: TrainSettings, summary: DatasetSummary) -> list[float] | None:
    """Return the weight of each class in the loss, or None where all weigh the same.

    summary: of the training list. Raises UserError for a file that does not fit.
    """
    given = settings.class_weights
    if given in POWERS:
        return list(balanced(summary.label_counts, settings.num_classes, POWERS[given]))
    if given in (None, "none"):
        return None
    return list(read_class_weights(given, settings.num_classes))


def find_rare_labels(
    settings: TrainSettings, classes: Classes, summary: DatasetSummary
) -> tuple[int, ...]:
    """Return the labels of the classes that are named as rare, else of those that are.

    Raises UserError for an unknown name, and where none is rare.
    """
    names = settings.rare_classes or ()
    if unknown := sorted(set(names) - set(classes.names)):
        raise UserError(f"--rare_classes: there is no {few(unknown)}, but {few(classes.names, 99)}")
    if names or not settings.rare_crops:
        return tuple(map(classes.names.index, names))
    weights = balanced(summary.label_counts, settings.num_classes)
    if max(weights) <= 2:
        raise UserError("--rare_crops: no class is rare; name some by --rare_classes")
    return tuple(label for label, weight in enumerate(weights) if weight > 2)


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
