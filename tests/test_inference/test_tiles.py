import numpy as np

from deeplab_lfov.inference.tiles import MARGIN, STRIP, STRIP_MARGIN, strips, tiles
from deeplab_lfov.network.layers import EARLY_FIELD


def test_tiles_cover_every_cell_once():
    covered = np.zeros((-(-700 // 8) + 1, -(-901 // 8) + 1), int)
    for tile in tiles(700, 901, 96):
        covered[tile.cells] += 1
        height, width = (s.stop - s.start for s in tile.inner)
        assert covered[tile.cells].shape == (height, width) and max(height, width) <= 12
    assert covered[:89, :114].min() == covered.max() == 1


def test_tiles_begin_on_the_grid_and_end_with_their_margin_or_the_picture():
    assert MARGIN * 8 == 224 >= 435 // 2
    for tile in tiles(1200, 500, 160):
        for pixels, cells, inner, length in zip(*tile, (1200, 500), strict=True):
            assert pixels.start % 8 == 0 and inner.start * 8 == cells.start * 8 - pixels.start
            assert pixels.start == 0 or inner.start == MARGIN
            assert pixels.stop == length or pixels.stop == (cells.stop - 1 + MARGIN) * 8 + 1


def test_strips_give_every_row_of_pool2_once_with_its_field():
    assert STRIP_MARGIN * 4 == 12 >= EARLY_FIELD // 2
    for height in (1, 9, 185, 193, 377, 1081):
        rows = []
        for strip in strips(height):
            start = strip.pixels.start // 4 + strip.inner.start
            assert start == strip.cells.start and strip.pixels.start % 4 == 0
            assert strip.pixels.start == 0 or strip.inner.start == STRIP_MARGIN
            assert strip.pixels.stop == min((strip.cells.stop - 1 + STRIP_MARGIN) * 4 + 1, height)
            assert strip.inner.stop - strip.inner.start == strip.cells.stop - start <= STRIP
            rows += range(strip.cells.start, strip.cells.stop)
        assert rows == list(range((height - 1) // 4 + 1))
    assert [strip.cells.stop for strip in strips(385, itemsize=2)] == [2 * STRIP, 97]
