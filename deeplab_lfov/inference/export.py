"""The network for others: graphs that need none of this code, and a small file of weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.files import whole_file
from deeplab_lfov.network.grid import likeliest_labels, upsample_scores
from deeplab_lfov.network.layers import parameter_shapes
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.preprocess import network_input
from deeplab_lfov.weights.checkpoints import Fit
from deeplab_lfov.weights.eight_bits import pack
from deeplab_lfov.weights.formats import Tensors


class Segmenter(tf.Module):
    """What is exported: pictures of one size in, masks and probabilities out."""

    def __init__(self, model: DeepLabLFOVModel, class_names: Sequence[str]):
        super().__init__()
        self.model, self.names = model, tuple(class_names)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def segment(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segment pictures, uint8 RGB [N, H, W, 3].

        Returns mask, uint8 [N, H, W], and probabilities, float32 [N, H, W, C].
        """
        return self.segment_size(image, *tf.unstack(tf.shape(image)[1:3]))

    @tf.function(input_signature=[])
    def class_names(self) -> dict[str, tf.Tensor]:
        """Return the classes' names, string [C], label 0 first."""
        return {"class_names": tf.constant(self.names)}

    def segment_size(
        self, image: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        """Segment pictures of a known height and width, with the results of `segment`."""
        plain = self.model.plain_convolutions()
        cells = self.model.scores(network_input(image), convolutions=plain)
        scores = upsample_scores(cells, height, width)
        return {"mask": likeliest_labels(scores), "probabilities": tf.nn.softmax(scores)}


def check_free(path: Path) -> Path:
    """Raise UserError where something is already at `path`."""
    if path.exists():
        raise UserError(f"{path} exists; export to another folder, or remove it first")
    return path


def save_model(segmenter: Segmenter, path: Path) -> None:
    """Write a SavedModel folder: signatures serving_default (`segment`) and class_names.

    Raises UserError when it cannot be written.
    """
    signatures = {
        "serving_default": segmenter.segment.get_concrete_function(),
        "class_names": segmenter.class_names.get_concrete_function(),
    }
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            partial = Path(folder) / path.name
            tf.saved_model.save(segmenter, str(partial), signatures)
            partial.rename(path)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def save_int8(tensors: Tensors, fit: Fit, path: Path) -> None:
    """Write the weights of tensors as a .npz with filters in 8 bits, and the facts of `fit`.

    Raises UserError when it cannot be written.
    """
    parameters = {name: tensors[name] for name in parameter_shapes(fit.num_classes, fit.width)}
    facts = fit.classes.stored() | {"about": np.array([fit.about] if fit.about else [])}
    facts["class_names"] = facts["class_names"].astype(str)
    with whole_file(path) as partial:
        np.savez_compressed(partial, **pack(parameters), **facts)


def save_tflite(segmenter: Segmenter, path: Path, size: tuple[int, int]) -> None:
    """Write a TFLite model of built-in operations for one picture of `size` (height, width).

    Raises UserError when it cannot be written.
    """
    image = tf.TensorSpec([1, *size, 3], tf.uint8, "image")
    function = tf.function(lambda image: segmenter.segment_size(image, *size))
    concrete = function.get_concrete_function(image)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], segmenter)
    with whole_file(path) as partial:
        partial.write_bytes(converter.convert())
