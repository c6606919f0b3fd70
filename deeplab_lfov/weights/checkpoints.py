"""The loading of weights of any known format into a network, and the writing of its weights.

A checkpoint is TensorFlow's V2 format, `model.ckpt-<steps done>`, keyed by name: `conv1_1/w` ...
`fc8_voc12/b` as the first TensorFlow version wrote them; beside them what `snapshots` adds for a
run: the optimizer's slots (`conv1_1/w/Adam`), `global_step`, `class_names`, `class_colors` and
`void_colors` (uint8 RGB [n, 3]) and `settings`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_lfov.classes import Classes, Color, voc_classes
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.network.initial import DEVIATIONS
from deeplab_lfov.network.large_fov import PreparedLargeFOV
from deeplab_lfov.network.layers import HEAD, WIDTH_UNIT, parameter_shapes
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.voc import CLASS_NAMES, PALETTE
from deeplab_lfov.weights.formats import StoredTensors, Tensors, read_weights, stored_weights
from deeplab_lfov.weights.tf_checkpoint import check_finite, is_slot

UNTRAINED = "untrained_layers"
"""The entry of a seed's checkpoint that names the layers whose parameters are random."""

_BOOKKEEPING = {"global_step", "class_names", "settings", "loss_scale", "loss_scale_steps"}
_BOOKKEEPING |= {"class_colors", "void_colors", UNTRAINED, "about"}
_BOOKKEEPING |= {"beta1_power", "beta2_power"}  # of TensorFlow 1's Adam

MOST_WIDTH = 8  # times VGG-16's channels; a file that asks for more is damaged


class Fit(NamedTuple):
    """The network that a file's weights fit; without a head in the file, 21 classes are assumed."""

    num_classes: int
    width: float
    classes: Classes
    untrained: tuple[str, ...] = ()  # layers whose parameters are random
    about: str = ""  # what the file says that it was trained on, and its mean IoU


def export_weights(
    model: DeepLabLFOVModel, path: str | Path, untrained: Sequence[str] = ()
) -> None:
    """Write the parameters as a V2 checkpoint `path`, which the first version restores too.

    Layers that are `untrained` are named in it. Raises UserError when it cannot be written.
    """
    mark = {UNTRAINED: tf.Variable(list(untrained), trainable=False)} if untrained else {}
    try:
        saver = tf.compat.v1.train.Saver(model.parameters | mark)
        saver.save(None, str(path), write_state=False)
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def load_weights(model: DeepLabLFOVModel, path: str | Path, skip_head: bool = False) -> None:
    """Set the model's parameters from a file of any known format (see `read_weights`).

    skip_head leaves fc8_voc12 as it is. Raises UserError, with the first tensors that are missing,
    extra or misshapen, and then changes nothing.
    """
    set_parameters(model, read_weights(path), path, skip=(HEAD,) if skip_head else ())


def load_model(path: str | Path, **options) -> tuple[DeepLabLFOVModel, tuple[str, ...]]:
    """Load a file's weights into the network that they fit; return it and its class names.

    options go to DeepLabLFOVModel. Raises UserError as `load_weights` does.
    """
    tensors = read_weights(path)
    fit = fit_of(tensors, path, whole=True)
    model = DeepLabLFOVModel(fit.num_classes, fit.width, initial=tensors, **options)
    return model, fit.classes.names


def load_prepared(path: str | Path, precision: str) -> tuple[PreparedLargeFOV, Fit]:
    """Begin to load for inference alone; threads go on after the return.

    Raises UserError as `load_model` does, but of damaged numbers, and of a file that has changed
    meanwhile, when the network asks for them.
    """
    tensors = stored_weights(path)
    fit = fit_of(tensors, path, whole=True)
    return PreparedLargeFOV(tensors, fit.num_classes, fit.width, precision), fit


def fit_of(tensors: StoredTensors, path: str | Path, whole: bool = False) -> Fit:
    """Read the width off the first layer's biases and the number of classes off the last's.

    Raises UserError for tensors of another network, and if `whole` unless all layers are there.
    """
    sizes = {name: tensors[name].size for name in ("conv1_1/b", f"{HEAD}/b") if name in tensors}
    if not sizes.get("conv1_1/b") or sizes.get(f"{HEAD}/b") == 0:
        raise UserError(
            f"{path} holds no DeepLab-LargeFOV: there is no tensor conv1_1/b in it; of a VGG-16 "
            "util/extract_params.py makes a checkpoint to train from"
        )
    num_classes = sizes.get(f"{HEAD}/b", len(CLASS_NAMES))
    if num_classes > 256 or sizes["conv1_1/b"] > MOST_WIDTH * WIDTH_UNIT:
        raise UserError(
            f"{path} holds {num_classes} classes and {sizes['conv1_1/b']} channels in conv1_1; "
            f"256 and {MOST_WIDTH * WIDTH_UNIT} are the most"
        )
    width = sizes["conv1_1/b"] / WIDTH_UNIT
    if whole:
        check_fit(tensors, num_classes, width, path)
    untrained = tuple(name for name in _texts(tensors, UNTRAINED) if name in DEVIATIONS)
    classes, about = _classes_of(tensors, num_classes), " ".join(_texts(tensors, "about"))
    return Fit(num_classes, width, classes, untrained, about)


def _texts(tensors: StoredTensors, name: str) -> tuple[str, ...]:
    texts = np.asarray(tensors.get(name, ())).ravel().tolist()
    return tuple(t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in texts)


def _classes_of(tensors: StoredTensors, num_classes: int) -> Classes:
    """Return the names and colours that are stored with weights, but no colours that are VOC's."""
    names = _texts(tensors, "class_names")
    classes = Classes(names) if len(names) == num_classes else voc_classes(num_classes)
    colors, void_colors = (_colors_of(tensors, name) for name in ("class_colors", "void_colors"))
    if len(colors) == num_classes and not np.array_equal(colors, PALETTE[:num_classes]):
        classes = classes._replace(colors=colors, void_colors=void_colors)
    return classes


def _colors_of(tensors: StoredTensors, name: str) -> tuple[Color, ...]:
    colors = np.asarray(tensors.get(name, ()))
    if colors.dtype != np.uint8 or colors.ndim != 2 or colors.shape[1] != 3 or len(colors) > 256:
        return ()
    return tuple(map(tuple, colors.tolist()))


def set_parameters(
    model: DeepLabLFOVModel, tensors: Tensors, where: str | Path, skip: Collection[str] = ()
) -> None:
    """Set the parameters of all layers but those in `skip`; raises UserError as `load_weights`."""
    check_fit(tensors, model.num_classes, model.width, where, skip)
    for name, parameter in model.parameters.items():
        if name[:-2] not in skip:
            parameter.assign(tensors[name])


def check_fit(
    tensors: StoredTensors,
    num_classes: int,
    width: float,
    where: str | Path,
    skip: Collection[str] = (),
) -> None:
    """Raise UserError, with the first misfits, unless tensors are of all layers but `skip`."""
    found_width = tensors["conv1_1/b"].size / WIDTH_UNIT if "conv1_1/b" in tensors else width
    if found_width != width:
        raise UserError(
            f"{where} has weights of width {found_width:g} and the network is of {width:g}; leave "
            "--width out"
        )
    shapes = parameter_shapes(num_classes, width)
    misfits = []
    for name, shape in shapes.items():
        if name[:-2] in skip:
            continue
        if name not in tensors:
            misfits.append(f"{name} is missing")
        elif tensors[name].shape != shape:
            misfits.append(f"{name} is {_shape(tensors[name].shape)} and not {_shape(shape)}")
        elif not np.issubdtype(tensors[name].dtype, np.floating):
            misfits.append(f"{name} holds {tensors[name].dtype} and not numbers")
        elif isinstance(tensors[name], np.ndarray):  # others are checked when they are read
            check_finite(name, tensors[name], where)
    extra = [name for name in tensors if name not in shapes and not is_bookkeeping(name)]
    misfits += [f"{name} is extra" for name in extra]
    if misfits:
        raise UserError(f"{where} does not fit the network: {few(misfits)}{_hint(misfits)}")


def is_bookkeeping(name: str) -> bool:
    """Tell whether a name is a run's own entry in a checkpoint, or a slot like `fc6/w/Adam`."""
    return name in _BOOKKEEPING or is_slot(name)


def _hint(misfits: list[str]) -> str:
    """Say what helps where the last layers alone are missing or of another shape."""
    if {misfit.partition("/")[0] for misfit in misfits} <= {HEAD}:
        return "; train.py's --not_restore_last starts the head afresh"
    if {f"{layer}/{part} is missing" for layer in ("fc6", "fc7") for part in "wb"} <= {*misfits}:
        return "; it is a VGG-16 without top: util/extract_params.py makes a seed of it"
    return ""


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
