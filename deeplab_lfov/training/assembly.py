"""Makes of settings what trains: the classes' names, the network and the solver."""

from collections.abc import Sequence

from deeplab_lfov.data.palette import class_names_from, read_palette
from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.solver.solver import Solver
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start
from deeplab_lfov.voc import class_names_of
from deeplab_lfov.weights.checkpoints import check_fit, set_parameters


def find_class_names(settings: TrainSettings, start: Start) -> tuple[str, ...]:
    """Name the classes: as the settings' files do, else as the weights do, else as VOC does.

    Raises UserError for files that do not fit.
    """
    names = ()
    if not start.run:
        palette = read_palette(settings.palette)
        names = class_names_from(settings.class_names, palette, settings.num_classes)
    fit, keeps_head = start.fit, start.run or not settings.not_restore_last
    if not names and fit and keeps_head and fit.num_classes == settings.num_classes:
        names = fit.class_names
    return names or class_names_of(settings.num_classes)


def check_weights(settings: TrainSettings, start: Start) -> None:
    """Raise UserError unless the weights to start from fit the network; a run is checked later."""
    if start.tensors and not start.run:
        shape = settings.num_classes, settings.width
        check_fit(start.tensors, *shape, settings.restore_from, _afresh(settings))


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
    )
    if start.tensors and not start.run:
        set_parameters(model, start.tensors, settings.restore_from, _afresh(settings))
    return model


def make_solver(
    settings: TrainSettings, model: DeepLabLFOVModel, class_weights: Sequence[float] | None
) -> Solver:
    """Make the solver of a network."""
    return Solver(
        model,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        lr_policy=settings.lr_policy,
        num_steps=settings.num_steps,
        power=settings.power,
        step_size=settings.step_size,
        gamma=settings.gamma,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        head_lr_mult=settings.head_lr_mult,
        bias_lr_mult=settings.bias_lr_mult,
        iter_size=settings.iter_size,
        class_weights=class_weights,
        seed=settings.seed,
    )


def _afresh(settings: TrainSettings) -> tuple[str, ...]:
    """Name the layers that start afresh."""
    return (HEAD,) if settings.not_restore_last else ()
