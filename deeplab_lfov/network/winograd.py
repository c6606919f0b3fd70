"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, arXiv 1509.09308. A tile of 6 x 6 inputs gives 4 x 4 outputs; in the transformed
space that takes 36 multiplications for each pair of channels instead of 144:

    tiles    [N, H, W, C]  -> [36, T, C]     gathered from the picture, times INPUTS
    filters  [3, 3, C, O]  -> [36, C, O]     times FILTERS
    product  [36, T, C] by [36, C, O] -> [36, T, O]
    outputs  [36, T, O]    -> [N, H, W, O]   times OUTPUTS, gathered into a picture

With dilation d the pixels of each residue modulo d are a picture of their own.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

SIDE, TILE = 4, 6
"""The sides of a tile's outputs and of its inputs, in pixels."""

_INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_FILTER = np.divide([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], 24)
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]

INPUTS, FILTERS, OUTPUTS = (
    np.kron(side, side).astype(np.float32) for side in (_INPUT, _FILTER, _OUTPUT)
)
"""The transforms of both sides at once: [36, 36], [36, 9] and [16, 36]."""

_MIDDLE = np.arange(TILE**2).reshape(TILE, TILE)[1:-1, 1:-1].ravel()
"""The pixels of a tile's inputs that its outputs are at."""

CACHED = 2**21
"""Numbers in a part of the tiles, so that it stays in the cache from one step to the next."""


class Tiling(NamedTuple):
    """Where the tiles of one or more pictures [N, H, W] are: see `tiling`."""

    borders: tf.Tensor  # int32 [4, 2], the zeros around the pictures
    index: tf.Tensor  # int32 [parts, 36, T / parts], where in `padded` the pixels of the tiles are
    places: tf.Tensor  # int32 [N, H, W], where in outputs [parts, 16, T / parts] the pixels are

    def padded(self, x: tf.Tensor) -> tf.Tensor:
        """Flatten [N, H, W, C] -> [pixels, C], the zeros around the pictures included."""
        return tf.reshape(tf.pad(x, self.borders), [-1, tf.shape(x)[3]])


_INTS = functools.partial(tf.TensorSpec, dtype=tf.int32)
_TILING = Tiling(_INTS([4, 2]), _INTS([None, TILE**2, None]), _INTS([None] * 3))


def tiling(shape: tf.Tensor, dilation: int, channels: int) -> Tiling:
    """Lay out the tiles of pictures of a shape int32 [N, H, W, ...], `dilation` zeros around each.

    A tile's outputs are in the middle of its inputs. T goes through the pictures, their rows of
    tiles and those of each residue. The tiles are taken in parts, so many that up to `channels`
    numbers of every pixel stay in the cache. A graph with them cannot leave the process.
    """
    most = max(1, CACHED // (TILE**2 * channels))
    arrays = functools.partial(_tiling, dilation, most)  # in NumPy: a graph takes long to build
    found = tf.numpy_function(arrays, [shape], [tf.int32] * len(_TILING), stateful=False)
    for tensor, spec in zip(found, _TILING, strict=True):
        tensor.set_shape(spec.shape)  # without an operation, unlike tf.ensure_shape
    return Tiling(*found)


def _tiling(dilation: int, most: int, shape: np.ndarray) -> list[np.ndarray]:
    """Compute the arrays of a Tiling, with up to `most` tiles in each part."""
    num, lengths = shape[0], shape[1:3]
    counts = -(-lengths // (dilation * SIDE))
    size = dilation * (counts * SIDE + TILE - SIDE)
    borders = np.stack([np.full_like(size, dilation), size - lengths - dilation], 1)
    borders = np.pad(borders, [[1, 1], [0, 0]])
    tiles = counts * dilation

    first = [_range(n) // dilation * (SIDE * dilation) + _range(n) % dilation for n in tiles]
    steps = _range(TILE).reshape(-1, 1, 1, 1) * dilation
    rows = _range(num)[:, np.newaxis] * size[0] + first[0] + steps
    index = (rows[..., np.newaxis] * size[1] + (first[1] + steps)).reshape(TILE**2, -1)
    num_tiles = index.shape[1]
    num_parts = max(1, -(-num_tiles // most))
    each = -(-num_tiles // num_parts)
    added = num_parts * each - num_tiles  # tiles of index 0, a zero: they change no sum
    index = np.pad(index, [[0, 0], [0, added]]).reshape(TILE**2, num_parts, each)

    rows, columns = _range(lengths[0]), _range(lengths[1])
    tile = _range(num)[:, np.newaxis] * tiles[0] + _tile_of(rows, dilation)
    tile = tile[..., np.newaxis] * tiles[1] + _tile_of(columns, dilation)
    within = rows[:, np.newaxis] // dilation % SIDE * SIDE + columns // dilation % SIDE
    places = (tile // each * SIDE**2 + within) * each + tile % each
    return [borders, np.moveaxis(index, 1, 0), places]


_range = functools.partial(np.arange, dtype=np.int32)


def _tile_of(pixel: np.ndarray, dilation: int) -> np.ndarray:
    """Return the number, along a side, of the tile that pixels are outputs of."""
    return pixel // (SIDE * dilation) * dilation + pixel % dilation


def convolve(x: tf.Tensor, filters: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Compute tf.nn.conv2d(x, filters, 1, "SAME", dilations=tiling's) of float32.

    x: [N, H, W, C] of the tiling's shape; filters: [3, 3, C, O], or for inference [36, C, O] from
    `transform_filters`. Asking for a gradient of the gradient raises LookupError.
    """
    if len(filters.shape) == 3:
        return _shaped(_outputs(x, filters, tiling), x, filters.shape[2])

    @tf.custom_gradient
    def differentiable(x: tf.Tensor, filters: tf.Tensor):
        # Hidden from tapes, which would keep the results of all steps in a function.
        x, filters = tf.stop_gradient(x), tf.stop_gradient(filters)

        def gradients(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.control_dependencies([dy]):  # to save memory, steps wait for each other
                pixels = tiling.padded(x)
            d_pixels = tiling.padded(dy)
            d_filters = _filter_gradient(pixels, d_pixels, tiling)
            with tf.control_dependencies([d_filters]):
                turned = transform_filters(filters, turned=True)
            dx = _shaped(_input_gradient(d_pixels, turned, tiling), x, x.shape[3])
            both = dx, tf.reshape(d_filters, filters.shape)
            refusal = "no gradient of a gradient, for which the layers would have to keep more"
            return tuple(tf.raw_ops.PreventGradient(input=d, message=refusal) for d in both)

        with tf.control_dependencies([x]):
            ready = transform_filters(filters)
        return _shaped(_outputs(x, ready, tiling), x, filters.shape[3]), gradients

    return differentiable(x, tf.convert_to_tensor(filters))


def _shaped(y: tf.Tensor, x: tf.Tensor, channels: int) -> tf.Tensor:
    y.set_shape([*x.shape[:3], channels])
    return y


def transform_filters(filters: tf.Tensor, turned: bool = False) -> tf.Tensor:
    """Transform filters [3, 3, C, O] -> [36, C, O], turned by 180 degrees first if `turned`."""
    transform = FILTERS[:, ::-1] if turned else FILTERS
    products = tf.matmul(transform, tf.reshape(filters, [9, -1]))
    return tf.reshape(products, [TILE**2, *filters.shape[2:]])


def _shared(*shapes: list[int | None]) -> Callable[[Callable], Callable]:
    """Decorate a function of tensors of these shapes and a tiling: all layers share its graph.

    With graphs of their own in it, a training step takes 100 MB more and 2 s longer to start.
    """
    return tf.function(
        input_signature=[*map(tf.TensorSpec, shapes), _TILING],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


_PICTURES, _PIXELS, _TRANSFORMED = [None] * 4, [None] * 2, [TILE**2, None, None]


@_shared(_PICTURES, _TRANSFORMED)
def _outputs(x: tf.Tensor, filters: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Convolve [N, H, W, C] to [N, H, W, O]."""
    return _products(tiling.padded(x), filters, tiling, transpose=False)


@_shared(_PIXELS, _TRANSFORMED)
def _input_gradient(d_pixels: tf.Tensor, turned: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Convolve `Tiling.padded` gradients of outputs to those of inputs, [N, H, W, C]."""
    return _products(d_pixels, turned, tiling, transpose=True)


def _products(pixels: tf.Tensor, filters: tf.Tensor, tiling: Tiling, transpose: bool) -> tf.Tensor:
    """Convolve from C to O channels of the filters; with transpose from O to C."""
    from_channels, to_channels = tf.shape(pixels)[1], tf.shape(filters)[1 if transpose else 2]

    def outputs(part: tf.Tensor) -> tf.Tensor:
        inputs = _inputs(pixels, part, from_channels)
        products = tf.matmul(inputs, filters, transpose_b=transpose)
        return _split(tf.matmul(OUTPUTS, _joined(products)), to_channels)

    tiles = tf.map_fn(outputs, tiling.index, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.gather(tf.reshape(tiles, [-1, to_channels]), tiling.places)


@_shared(_PIXELS, _PIXELS)
def _filter_gradient(pixels: tf.Tensor, d_pixels: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Compute the gradient of filters, [9, C x O], of `Tiling.padded` inputs and gradients."""
    from_channels, to_channels = tf.shape(pixels)[1], tf.shape(d_pixels)[1]

    def add(total: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        d_outputs = _joined(tf.gather(d_pixels, tf.gather(part, _MIDDLE)))
        d_products = _split(tf.matmul(OUTPUTS, d_outputs, transpose_a=True), to_channels)
        d_filters = tf.matmul(_inputs(pixels, part, from_channels), d_products, transpose_a=True)
        return total + tf.matmul(FILTERS, _joined(d_filters), transpose_a=True)

    zeros = tf.zeros([9, from_channels * to_channels])
    return tf.foldl(add, tiling.index, zeros, parallel_iterations=1)


def _inputs(pixels: tf.Tensor, part: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """Gather and transform a part of the tiles, their index [36, K]: [36, K, C]."""
    return _split(tf.matmul(INPUTS, _joined(tf.gather(pixels, part))), channels)


def _joined(tiles: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tiles, [tiles.shape[0], -1])


def _split(tiles: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tiles, [tiles.shape[0], -1, channels])
