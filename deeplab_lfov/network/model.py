"""DeepLab-LargeFOV as a model: the parameters, how they begin, and their loss."""

import secrets
from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

from deeplab_lfov.network.engine import Convolutions
from deeplab_lfov.network.grid import likeliest_labels, upsample_scores
from deeplab_lfov.network.initial import beside_trained, from_nothing
from deeplab_lfov.network.large_fov import LargeFOV
from deeplab_lfov.network.layers import parameter_shapes
from deeplab_lfov.network.loss import cross_entropy, total_weight


class DeepLabLFOVModel(tf.Module, LargeFOV):
    """The network with its parameters, `parameters["conv1_1/w"]` (HWIO) to `["fc8_voc12/b"]`.

    width, dropout and precision as for `LargeFOV`. Filters start as Glorot uniform drawn from
    `seed` (from the system's entropy if None), biases at 0; or all of them as `initial` gives them
    by name. Layers that are `frozen` keep their parameters in training. Raises as `LargeFOV`, and
    ValueError for an initial value that is missing or misshapen.
    """

    def __init__(
        self,
        num_classes: int = 21,
        width: float = 1.0,
        *,
        dropout: float = 0.5,
        precision: str = "float32",
        seed: int | None = None,
        initial: Mapping[str, np.ndarray] | None = None,
        frozen: Collection[str] = (),
    ):
        tf.Module.__init__(self, name="deeplab_lfov")
        LargeFOV.__init__(self, num_classes, width, dropout, precision)
        shapes = parameter_shapes(num_classes, width)
        seed = secrets.randbits(31) if seed is None else seed
        values = from_nothing(shapes, seed) if initial is None else _checked(initial, shapes)
        self.parameters = {
            name: tf.Variable(value, trainable=name[:-2] not in frozen, dtype=tf.float32, name=name)
            for name, value in values.items()
        }

    @property
    def trained_parameters(self) -> dict[str, tf.Variable]:
        """The parameters that training changes, by name: all but those of frozen layers."""
        return {name: each for name, each in self.parameters.items() if each.trainable}

    def start_afresh(self, layers: Collection[str], seed: int) -> None:
        """Set layers, of fc6, fc7 and fc8_voc12, as `initial.beside_trained` draws them."""
        parameters = {n: p for n, p in self.parameters.items() if n[:-2] in layers}
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        for name, value in beside_trained(shapes, seed, self.width).items():
            parameters[name].assign(value)

    def convolutions(self, training: bool = False) -> Convolutions:
        """Return the fastest convolutions known, with the parameters as they are when applied."""
        return Convolutions(self.parameters, self.dtype, training)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def preds(self, images: tf.Tensor) -> tf.Tensor:
        """Label pictures: float32 BGR minus the mean [N, H, W, 3], any size -> uint8 [N, H, W, 1].

        In plain operations, as `tf.saved_model.save` of a model takes this along.
        """
        scores = self.scores(images, convolutions=self.plain_convolutions())
        pixels = upsample_scores(scores, *tf.unstack(tf.shape(images)[1:3]))
        return likeliest_labels(pixels)[..., tf.newaxis]

    def plain_convolutions(self) -> Convolutions:
        """Return the network's convolutions in plain operations, which any machine can run."""
        return Convolutions(self.parameters, self.dtype, plain=True)

    def loss(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        training: bool = False,
        seed: tf.Tensor | None = None,
        class_weights: tf.Tensor | None = None,
        weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Compute the mean softmax cross-entropy float32 [] of the cells; 0 where all are void.

        images and seed as for `scores`; labels uint8 [N, H, W, 1]; class_weights float32 [C].
        weight, for images that are a part of a batch, is the `total_weight` of all its labels.
        """
        if weight is None:
            weight = total_weight(labels, class_weights)
        scores = self.scores(images, training, seed)
        return tf.math.divide_no_nan(cross_entropy(scores, labels, class_weights), weight)


def _checked(
    initial: Mapping[str, np.ndarray], shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    for name, shape in shapes.items():
        if name not in initial or np.shape(initial[name]) != shape:
            raise ValueError(f"initial has no {name} of shape {shape}")
    return {name: initial[name] for name in shapes}
