"""Makes of settings what trains: the classes and the network."""

from deeplab_lfov.classes import Classes, voc_classes
from deeplab_lfov.data.layout import palette_in
from deeplab_lfov.data.palette import NO_PALETTE, Palette, classes_from
from deeplab_lfov.network.layers import HEAD, layers_to
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start
from deeplab_lfov.weights.checkpoints import check_fit, set_parameters


def find_classes(settings: TrainSettings, start: Start) -> Classes:
    """Name and colour the classes: as the data set does, else as the weights do, else as VOC does.

    Raises UserError for files that do not fit, and where weights whose last layer is kept call the
    classes otherwise.
    """
    stored, palette = _stored_classes(settings, start), _own_palette(settings, start)
    where = settings.palette or settings.data_dir, start.path
    if start.run:
        if palette.class_names and not settings.class_names:
            palette.classes.check_same(stored, *where, "restore it, or start another run")
        return stored
    classes = classes_from(settings.class_names, palette, settings.num_classes)
    if classes.names and stored and stored.are_named and not settings.class_names:
        classes.check_same(stored, *where)
    return classes if classes.names else stored or voc_classes(settings.num_classes)


def _own_palette(settings: TrainSettings, start: Start) -> Palette:
    """Return what the data set calls its classes; runs of version 1.0 were not asked that."""
    if start.is_of_version_1_0:
        return NO_PALETTE
    return palette_in(settings.data_dir, settings.palette)


def _stored_classes(settings: TrainSettings, start: Start) -> Classes | None:
    """Return the classes of weights whose last layer is kept."""
    fit, keeps_head = start.fit, start.run or not _afresh(settings, start)
    return fit.classes if fit and keeps_head and fit.num_classes == settings.num_classes else None


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
