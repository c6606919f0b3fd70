"""Pieces of a large picture whose scores, put together, are those of the whole picture.

A score depends on the pixels of its receptive field only. Tiles that overlap by that much give
every cell all it depends on, so nothing changes but the memory that it takes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from deeplab_lfov.network.layers import RECEPTIVE_FIELD, STRIDE, num_cells

MARGIN = -(-(RECEPTIVE_FIELD // 2) // STRIDE)
"""Cells around a tile that are computed with it and thrown away: 28 cells, 224 pixels."""


class Tile(NamedTuple):
    """A piece of a picture, as index pairs (rows, columns)."""

    pixels: tuple[slice, slice]  # of the picture, margin included
    cells: tuple[slice, slice]  # of the picture's scores, without margin
    inner: tuple[slice, slice]  # where those cells are in the piece's own scores


def tiles(height: int, width: int, side: int) -> Iterator[Tile]:
    """Cut a picture of height x width pixels into tiles of side x side pixels and their margins.

    side is a multiple of 8, so that every tile begins on the network's grid.
    """
    for rows in _spans(height, side // STRIDE):
        for columns in _spans(width, side // STRIDE):
            yield Tile(*zip(rows, columns, strict=True))


def _spans(pixels: int, cells: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield (pixels, cells, inner) of the tiles along one side."""
    count = num_cells(pixels)
    for start in range(0, count, cells):
        stop = min(start + cells, count)
        first, last = max(start - MARGIN, 0), stop - 1 + MARGIN
        yield (
            slice(first * STRIDE, min(last * STRIDE + 1, pixels)),
            slice(start, stop),
            slice(start - first, stop - first),
        )
