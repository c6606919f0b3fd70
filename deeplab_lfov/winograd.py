"""3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, arXiv 1509.09308. A tile of 6 x 6 inputs gives 4 x 4 outputs; in the transformed
space that takes 36 multiplications for each pair of channels instead of 144:

    tiles    [N, H, W, C]  -> [36, T, C]     gathered from the picture, times INPUTS
    filters  [3, 3, C, O]  -> [36, C, O]     times FILTERS
    product  [36, T, C] by [36, C, O] -> [36, T, O]
    outputs  [36, T, O]    -> [N, H, W, O]   times OUTPUTS, gathered into a picture

With dilation d the pixels of each residue modulo d are a picture of their own.
"""

import numpy as np
import tensorflow as tf

SIDE, TILE = 4, 6
"""Of a tile's outputs and of its inputs, in pixels."""

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


CACHED = 2**22
"""Numbers in a part of the tiles, so that it stays in the cache from one step to the next."""


class Tiling:
    """Where the tiles of one or more pictures [N, H, W] are, with `dilation` zeros around each.

    A tile's outputs are in the middle of its inputs. T goes through the pictures, their rows of
    tiles and those of each residue. The tiles are taken in `parts`, `each` of them in one, so many
    that up to `channels` numbers of every pixel stay in the cache.
    """

    def __init__(self, shape: tf.Tensor, dilation: int, channels: int):
        num, lengths = shape[0], shape[1:3]
        counts = -(-lengths // (dilation * SIDE))
        size = dilation * (counts * SIDE + TILE - SIDE)
        after = size - lengths - dilation
        self._borders = tf.pad(tf.stack([[dilation] * 2, after], 1), [[1, 1], [0, 0]])
        self._dilation, tiles = dilation, tf.unstack(counts * dilation)

        rows, columns = (self._first(number) for number in tiles)
        steps = np.arange(TILE, dtype=np.int32).reshape(-1, 1, 1, 1) * dilation
        rows = tf.range(num)[:, tf.newaxis] * size[0] + rows + steps
        index = tf.reshape(rows[..., tf.newaxis] * size[1] + (columns + steps), [TILE, TILE, -1])
        num_tiles = tf.shape(index)[2]
        num_parts = -(-num_tiles // max(1, CACHED // (TILE**2 * channels)))
        self.each = -(-num_tiles // num_parts)
        self.parts = tf.range(num_parts) * self.each
        added = num_parts * self.each - num_tiles  # tiles of index 0, a zero: they change no sum
        self._index = tf.pad(index, [[0, 0], [0, 0], [0, added]])
        self.places = self._places(num, lengths, tiles)

    def padded(self, x: tf.Tensor) -> tf.Tensor:
        """[N, H, W, C] -> [pixels, C], the zeros around the pictures included."""
        return tf.reshape(tf.pad(x, self._borders), [-1, x.shape[3]])

    def part(self, first: tf.Tensor) -> tf.Tensor:
        """int32 [6, 6, each]: where in `padded` the pixels of the tiles from `first` on are."""
        return self._index[..., first : first + self.each]

    def _places(self, num: tf.Tensor, lengths: tf.Tensor, tiles: list[tf.Tensor]) -> tf.Tensor:
        """Where in outputs [parts, 16, each] the pixels [N, H, W] are, int32."""
        rows, columns = (tf.range(length) for length in tf.unstack(lengths))
        tile = tf.range(num)[:, tf.newaxis] * tiles[0] + self._tile(rows)
        tile = tile[..., tf.newaxis] * tiles[1] + self._tile(columns)
        within = [pixels // self._dilation % SIDE for pixels in (rows, columns)]
        within = within[0][:, tf.newaxis] * SIDE + within[1]
        return (tile // self.each * SIDE**2 + within) * self.each + tile % self.each

    def _first(self, tiles: tf.Tensor) -> tf.Tensor:
        """The first pixel of each tile along a side."""
        tile, d = tf.range(tiles), self._dilation
        return tile // d * (SIDE * d) + tile % d

    def _tile(self, pixels: tf.Tensor) -> tf.Tensor:
        """The tile along a side that each pixel is an output of."""
        d = self._dilation
        return pixels // (SIDE * d) * d + pixels % d


def convolution(x: tf.Tensor, filters: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """tf.nn.conv2d(x, filters, 1, "SAME", dilations=tiling's) of float32, and its gradients.

    x: [N, H, W, C] of the tiling's shape; filters: [3, 3, C, O], or [36, C, O] where they are
    `transformed` already. Steps that could run at once wait for each other, to save memory.
    """
    if len(filters.shape) == 3:
        return _convolution(x, filters, tiling)

    @tf.custom_gradient
    def differentiable(x: tf.Tensor, filters: tf.Tensor):
        def gradients(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.control_dependencies([dy]):
                d_filters = _filter_gradient(tf.identity(x), dy, tiling)
            with tf.control_dependencies([d_filters]):
                turned = transformed(filters, turned=True)
                return _convolution(tf.identity(dy), turned, tiling, transpose=True), d_filters

        with tf.control_dependencies([x]):
            ready = transformed(filters)
        return _convolution(x, ready, tiling), gradients

    return differentiable(x, tf.convert_to_tensor(filters))


def transformed(filters: tf.Tensor, turned: bool = False) -> tf.Tensor:
    """[3, 3, C, O] -> [36, C, O], turned by 180 degrees first if `turned`."""
    transform = FILTERS[:, ::-1] if turned else FILTERS
    products = tf.matmul(transform, tf.reshape(filters, [9, -1]))
    return tf.reshape(products, [TILE**2, *filters.shape[2:]])


def _convolution(
    x: tf.Tensor, filters: tf.Tensor, tiling: Tiling, transpose: bool = False
) -> tf.Tensor:
    """transpose: from O to C channels, as the gradient goes."""
    pixels, channels = tiling.padded(x), filters.shape[1 if transpose else 2]

    def outputs(first: tf.Tensor) -> tf.Tensor:
        inputs = _inputs(pixels, tiling.part(first))
        products = tf.matmul(inputs, filters, transpose_b=transpose)
        return _split(tf.matmul(OUTPUTS, _joined(products)), channels)

    tiles = tf.map_fn(outputs, tiling.parts, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.gather(tf.reshape(tiles, [-1, channels]), tiling.places)


def _filter_gradient(x: tf.Tensor, dy: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    pixels, d_pixels = tiling.padded(x), tiling.padded(dy)
    channels = x.shape[3], dy.shape[3]

    def add(total: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        part = tiling.part(first)
        d_outputs = _joined(tf.gather(d_pixels, tf.reshape(part[1:-1, 1:-1], [SIDE**2, -1])))
        d_products = _split(tf.matmul(OUTPUTS, d_outputs, transpose_a=True), channels[1])
        d_filters = tf.matmul(_inputs(pixels, part), d_products, transpose_a=True)
        return total + tf.matmul(FILTERS, _joined(d_filters), transpose_a=True)

    zeros = tf.zeros([9, channels[0] * channels[1]])
    total = tf.foldl(add, tiling.parts, zeros, parallel_iterations=1)
    return tf.reshape(total, [3, 3, *channels])


def _inputs(pixels: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """A part of the tiles, transformed: [36, K, C]."""
    tiles = tf.gather(pixels, tf.reshape(index, [TILE**2, -1]))
    return _split(tf.matmul(INPUTS, _joined(tiles)), pixels.shape[1])


def _joined(tiles: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tiles, [tiles.shape[0], -1])


def _split(tiles: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.reshape(tiles, [tiles.shape[0], -1, channels])
