"""How convolutions are computed best on this machine: in which type, and by which algorithm."""

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from deeplab_lfov.network import arithmetic, filter_gradient, winograd
from deeplab_lfov.network.layers import CONVOLUTIONS, STEPS, Layer

TensorLike = tf.types.experimental.TensorLike
Tilings = dict[tuple[int, int], winograd.Tiling]
"""Winograd's tilings of the blobs of one picture, by (pixels between cells, dilation)."""


class Convolutions:
    """The convolutions of the network, with parameters as they are when a layer is applied.

    parameters: by name, `conv1_1/w` (HWIO) and `conv1_1/b`. precision is the type to compute in.
    With training, filters stay as the gradient needs them. With plain, only TensorFlow's own
    convolutions in the precision itself are used, which any machine can run.
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Tensor | tf.Variable],
        precision: tf.DType,
        training: bool = False,
        plain: bool = False,
    ):
        self.parameters, self.precision = parameters, precision
        self.training, self.plain = training, plain
        self.dtype = precision if plain else arithmetic.type_to_compute(precision)
        """The type that is computed in."""

    def apply(self, x: tf.Tensor, layer: Layer, tilings: Tilings) -> tf.Tensor:
        """Convolve a blob [N, h, w, I] with the layer's filters and add its biases: [N, h, w, O].

        tilings: those of earlier layers of the same pictures, which this layer may add to.
        """
        filters, bias = self.prepared(layer)
        if self.uses_winograd(layer):
            place = STEPS[layer.name], layer.dilation
            if place not in tilings:
                tilings[place] = winograd.tiling(tf.shape(x), layer.dilation, bias.shape[0])
            x = winograd.convolve(x, filters, tilings[place])
        elif self.plain:
            border = [layer.dilation * (layer.size // 2)] * 2
            # in numbers: ONNX Runtime has no "SAME" for dilated convolutions
            x = tf.nn.conv2d(
                x, filters, 1, [[0, 0], border, border, [0, 0]], dilations=layer.dilation
            )
        elif self._uses_products(filters, layer.dilation):
            x = filter_gradient.convolve(x, filters, layer.dilation)
        elif layer.dilation == 1 or _dilated_gradients_work(x.dtype):
            x = tf.nn.conv2d(x, filters, 1, "SAME", dilations=layer.dilation)
        else:
            x = tf.nn.atrous_conv2d(x, filters, layer.dilation, "SAME")
        return self.rounded(tf.nn.bias_add(x, bias))

    def prepared(self, layer: Layer) -> tuple[tf.Tensor, tf.Tensor]:
        """Return a layer's filters and biases as its convolution takes them: HWIO and [O].

        Filters for Winograd's algorithm outside training are transformed, [36, I, O].
        """
        filters, bias = (self.rounded(self.parameters[f"{layer.name}/{part}"]) for part in "wb")
        if self.uses_winograd(layer) and not self.training:
            filters = winograd.transform_filters(filters)
        return filters, bias

    def rounded(self, x: tf.Tensor) -> tf.Tensor:
        """Round to the precision; the result has the type that is computed in."""
        if self.dtype == self.precision:
            return tf.cast(x, self.precision)
        return round_to_bfloat16(x)

    def uses_winograd(self, layer: Layer) -> bool:
        """Tell whether a layer is convolved by Winograd's algorithm."""
        shape = tuple(self.parameters[f"{layer.name}/w"].shape)
        pays = winograd_pays(shape, layer.dilation, self.dtype, self.training)
        return pays and not self.plain

    def _uses_products(self, filters: tf.Tensor, dilation: int) -> bool:
        pays = filter_gradient.pays(tuple(filters.shape), self.dtype) and self.training
        works = dilation == 1 or _dilated_gradients_work(self.dtype)
        return pays and works and not arithmetic.has_gpu()


class PreparedConvolutions(Convolutions):
    """The same with parameters that are prepared once, and of which nothing else is kept.

    Threads take them out, layer after layer, so that few are in memory twice; whoever asks for a
    layer waits until it is ready, and gets what its reading raised.
    """

    def __init__(self, parameters: dict[str, TensorLike], precision: tf.DType):
        super().__init__({}, precision)
        device = tf.zeros([]).device  # the caller's, which threads do not take over

        def prepare(layer: Layer) -> tuple[tf.Tensor, tf.Tensor]:
            names = f"{layer.name}/w", f"{layer.name}/b"
            with tf.device(device):
                now = {name: _float32(parameters.pop(name)) for name in names}
                return Convolutions(now, precision).prepared(layer)

        threads = ThreadPoolExecutor(max_workers=2)  # one reads while one transforms
        self._prepared = {layer: threads.submit(prepare, layer) for layer in CONVOLUTIONS}
        threads.shutdown(wait=False)

    def prepared(self, layer: Layer) -> tuple[tf.Tensor, tf.Tensor]:
        """Return a layer's filters and biases as they were prepared."""
        return self._prepared[layer].result()

    def uses_winograd(self, layer: Layer) -> bool:
        """Tell whether a layer's filters were transformed, to [36, I, O]."""
        return len(self.prepared(layer)[0].shape) == 3


def _float32(numbers: TensorLike) -> tf.Tensor:
    """Turn numbers of any type into a tensor that is where operations are done, not the host's."""
    if isinstance(numbers, np.ndarray):
        numbers = np.asarray(numbers, np.float32)  # TensorFlow lacks some types, as longdouble
    return tf.identity(tf.cast(numbers, tf.float32))


def winograd_pays(
    filters: tuple[int, int, int, int], dilation: int, dtype: tf.DType, training: bool
) -> bool:
    """Tell whether Winograd's algorithm is the faster one on this machine for a HWIO shape.

    As `util/benchmark.py convolutions` measured it on CPUs: from 128 channels on, and in training
    from 64, because TensorFlow is slow at the gradient of filters. fc6, whose dilation of 12 leaves
    few pixels of each residue, is as fast without and takes less memory.
    """
    if dtype != tf.float32 or filters[:2] != (3, 3) or arithmetic.has_gpu():
        return False
    return dilation <= 2 and filters[2] >= (64 if training else 128)


def round_to_bfloat16(x: tf.Tensor) -> tf.Tensor:
    """Round float32 to the 8 significant bits of bfloat16 (Veltkamp's splitting; Dekker 1971).

    This is several times faster than a cast there and back.
    """
    scaled = x * (2.0**16 + 1)
    return scaled - (scaled - x)


@functools.cache
def _dilated_gradients_work(dtype: tf.DType) -> bool:
    """Try a dilated gradient: oneDNN's kernels (x86) have it, TensorFlow's own for CPUs do not."""
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 3, 3, 1],
                filter=tf.ones([3, 3, 1, 1], dtype),
                out_backprop=tf.ones([1, 3, 3, 1], dtype),
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True
