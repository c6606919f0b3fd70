"""Pieces of a picture whose scores, put together, are those of the whole picture.

A score depends on the pixels of its receptive field only. Pieces that overlap by that much give
every cell all it depends on, so nothing changes but the memory that it takes: tiles for the whole
network, of large pictures, and strips for its early layers, of all pictures.
"""

from collections.abc import Iterator
from typing import NamedTuple

from deeplab_lfov.network.layers import (
    EARLY_FIELD,
    EARLY_STRIDE,
    RECEPTIVE_FIELD,
    STRIDE,
    num_cells,
)

MARGIN = -(-(RECEPTIVE_FIELD // 2) // STRIDE)
"""Cells around a tile that are computed with it and thrown away: 28 cells, 224 pixels."""

STRIP = 32
"""Rows of pool2 in a strip of float32, of 128 pixels; in 16 bits twice as many. Smaller strips save
little memory, as the later layers' comes to the front, and their margins take time."""

STRIP_MARGIN = -(-(EARLY_FIELD // 2) // EARLY_STRIDE)
"""Rows of pool2 above and below a strip that are thrown away: 3, of 12 pixels."""


class Piece(NamedTuple):
    """A piece of one side of a picture; of both sides, each is a pair (rows, columns)."""

    pixels: slice  # of the picture, margin included
    cells: slice  # of the picture's cells, without margin
    inner: slice  # where those cells are in the piece's own


def tiles(height: int, width: int, side: int) -> Iterator[Piece]:
    """Cut a picture of height x width pixels into tiles of side x side pixels and their margins.

    side is a multiple of 8, so that every tile begins on the network's grid.
    """
    for rows in _pieces(height, side // STRIDE, STRIDE, MARGIN):
        for columns in _pieces(width, side // STRIDE, STRIDE, MARGIN):
            yield Piece(*zip(rows, columns, strict=True))


def strips(height: int, itemsize: int = 4) -> Iterator[Piece]:
    """Cut the rows of a picture for the early layers, height pixels, 8k+1; cells are pool2's.

    itemsize: bytes of a number in the network.
    """
    return _pieces(height, STRIP * 4 // itemsize, EARLY_STRIDE, STRIP_MARGIN)


def _pieces(pixels: int, cells: int, stride: int, margin: int) -> Iterator[Piece]:
    count = num_cells(pixels, stride)
    for start in range(0, count, cells):
        stop = min(start + cells, count)
        first, last = max(start - margin, 0), stop - 1 + margin
        yield Piece(
            slice(first * stride, min(last * stride + 1, pixels)),
            slice(start, stop),
            slice(start - first, stop - first),
        )
