"""The one door for weights: checkpoints out, and weights of every known format in.

A checkpoint is TensorFlow's V2 format, `model.ckpt-<steps done>`, keyed by name: `conv1_1/w` ...
`fc8_voc12/b` as the first TensorFlow version wrote them; beside them the optimizer's slots
(`conv1_1/w/Adam`), `global_step` and `class_names`.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.model import HEAD, WIDTH_UNIT, DeepLabLFOVModel
from deeplab_lfov.voc import CLASS_NAMES, class_names_of

PREFIX = "model.ckpt"
_BOOKKEEPING = {"global_step", "class_names", "beta1_power", "beta2_power"}

Tensors = dict[str, np.ndarray]


class Fit(NamedTuple):
    """The network that a file's weights fit; without a head in the file, 21 classes are assumed."""

    num_classes: int
    width: float
    class_names: tuple[str, ...]


class Snapshots:
    """Writes the checkpoints of one run into a folder, keeping the newest max_to_keep.

    A checkpoint appears under its name only when all of it is on disk: TensorFlow writes both files
    beside their places and renames them, the index last.
    """

    def __init__(
        self,
        folder: Path,
        variables: dict[str, tf.Variable],
        class_names: Sequence[str],
        max_to_keep: int = 5,
    ):
        self._prefix = Path(folder) / PREFIX
        names = tf.Variable(list(class_names), trainable=False)
        self._saver = tf.compat.v1.train.Saver(
            variables | {"class_names": names}, max_to_keep=max_to_keep
        )

    def save(self, step: int) -> Path:
        """Write `model.ckpt-<step>` and return its path; raises UserError when it cannot."""
        try:
            return Path(self._saver.save(None, str(self._prefix), step))
        except tf.errors.OpError as error:
            raise UserError(f"cannot write {self._prefix}-{step}: {error.message}") from error


def snapshots_in(folder: str | Path) -> list[Path]:
    """The checkpoints `model.ckpt-<step>` in a folder, oldest first."""
    found = Path(folder).glob(f"{PREFIX}-*.index")
    steps = {path.with_suffix(""): re.fullmatch(r".*-(\d+)", path.stem) for path in found}
    return sorted((path for path in steps if steps[path]), key=lambda p: int(steps[p].group(1)))


def load_weights(model: DeepLabLFOVModel, path: str | Path, skip_head: bool = False) -> None:
    """Set the model's parameters from a file of any known format (see `read_tensors`).

    skip_head leaves fc8_voc12 as it is. Raises UserError, with every tensor that is missing, extra
    or misshapen, and then changes nothing.
    """
    _assign(model, read_tensors(path), path, skip_head)


def load_model(path: str | Path, **options) -> tuple[DeepLabLFOVModel, tuple[str, ...]]:
    """The network that a file's weights fit, with them loaded, and its class names.

    options go to DeepLabLFOVModel. Raises UserError as `load_weights` does.
    """
    tensors = read_tensors(path)
    fit = _fit(tensors, path)
    model = DeepLabLFOVModel(fit.num_classes, fit.width, **options)
    _assign(model, tensors, path)
    return model, fit.class_names


def describe(path: str | Path) -> Fit:
    """Tell what network a file's weights fit; raises UserError as `read_tensors` does."""
    return _fit(read_tensors(path), path)


def read_tensors(path: str | Path) -> Tensors:
    """All tensors of a weight file by name, filters HWIO.

    Known, by content: TensorFlow checkpoints, V2 (named without `.index`) and V1, and `.npz` with
    the same names. Raises UserError for a file that is missing, damaged or of another kind.
    """
    path = Path(path)
    if not path.with_name(f"{path.name}.index").is_file():
        if not path.is_file():
            raise UserError(f"there is no checkpoint {path}; give a name without .index or .data")
        if zipfile.is_zipfile(path):
            return _read_npz(path)
    return _read_checkpoint(path)


def _read_checkpoint(path: Path) -> Tensors:
    try:
        reader = tf.train.load_checkpoint(str(path))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, IndexError, ValueError) as error:
        raise UserError(f"{path} is damaged or no checkpoint: {error}") from error


def _read_npz(path: Path) -> Tensors:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged or no .npz of arrays: {error}") from error


def _assign(
    model: DeepLabLFOVModel, tensors: Tensors, path: str | Path, skip_head: bool = False
) -> None:
    skipped = {name for name in model.parameters if skip_head and name.startswith(f"{HEAD}/")}
    wanted = {name: p for name, p in model.parameters.items() if name not in skipped}
    misfits = [f"{name} is missing" for name in wanted if name not in tensors]
    misfits += [f"{name} is extra" for name in tensors if not _expected(name, model)]
    misfits += [
        f"{name} is {_shape(tensors[name])} and not {_shape(parameter)}"
        for name, parameter in wanted.items()
        if name in tensors and tensors[name].shape != tuple(parameter.shape)
    ]
    if misfits:
        hint = "; --not_restore_last starts the head afresh" if _only_head(misfits) else ""
        raise UserError(f"{path} does not fit the network: {', '.join(misfits)}{hint}")
    for name, parameter in wanted.items():
        parameter.assign(tensors[name])


def _expected(name: str, model: DeepLabLFOVModel) -> bool:
    slot_of = name.rpartition("/")[0]
    return name in model.parameters or slot_of in model.parameters or name in _BOOKKEEPING


def _only_head(misfits: list[str]) -> bool:
    return all(misfit.startswith(f"{HEAD}/") for misfit in misfits)


def _fit(tensors: Tensors, path: str | Path) -> Fit:
    """Read the width off the first layer's biases and the number of classes off the last's."""
    sizes = {name: tensors[name].size for name in ("conv1_1/b", f"{HEAD}/b") if name in tensors}
    if not sizes.get("conv1_1/b") or sizes.get(f"{HEAD}/b") == 0:
        raise UserError(f"{path} holds no DeepLab-LargeFOV: there is no tensor conv1_1/b in it")
    num_classes = sizes.get(f"{HEAD}/b", len(CLASS_NAMES))
    names = [name.decode() for name in tensors.get("class_names", np.empty(0)).tolist()]
    if len(names) != num_classes:
        names = class_names_of(num_classes)
    return Fit(num_classes, sizes["conv1_1/b"] / WIDTH_UNIT, tuple(names))


def _shape(array: np.ndarray | tf.Variable) -> str:
    return "x".join(map(str, array.shape))
