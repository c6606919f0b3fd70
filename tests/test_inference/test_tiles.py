import numpy as np

from deeplab_lfov.inference.tiles import MARGIN, tiles


def test_the_margin_is_half_the_receptive_field():
    assert MARGIN * 8 == 224 >= 435 // 2


def test_tiles_cover_every_cell_once():
    covered = np.zeros((-(-700 // 8) + 1, -(-901 // 8) + 1), int)
    for tile in tiles(700, 901, 96):
        covered[tile.cells] += 1
        height, width = (s.stop - s.start for s in tile.inner)
        assert covered[tile.cells].shape == (height, width) and max(height, width) <= 12
    assert covered[:89, :114].min() == covered.max() == 1


def test_tiles_begin_on_the_grid_and_end_with_their_margin_or_the_picture():
    for tile in tiles(1200, 500, 160):
        for pixels, cells, inner, length in zip(*tile, (1200, 500), strict=True):
            assert pixels.start % 8 == 0 and inner.start * 8 == cells.start * 8 - pixels.start
            assert pixels.start == 0 or inner.start == MARGIN
            assert pixels.stop == length or pixels.stop == (cells.stop - 1 + MARGIN) * 8 + 1
