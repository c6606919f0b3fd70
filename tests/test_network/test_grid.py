import numpy as np
import tensorflow as tf

from deeplab_lfov.network import grid


def test_pad_to_grid_fills_the_bottom_and_right():
    padded = grid.pad_to_grid(tf.ones([1, 16, 17, 1], tf.uint8), 255).numpy()[0, ..., 0]
    assert padded.shape == (17, 17)
    assert (padded[:16] == 1).all() and (padded[16] == 255).all()
    assert grid.pad_to_grid(tf.ones([1, 1, 18, 2])).shape == (1, 1, 25, 2)


def test_shrink_labels_takes_every_eighth_pixel_and_pads_with_void():
    mask = np.arange(17 * 25, dtype=np.uint8).reshape(1, 17, 25, 1)
    np.testing.assert_array_equal(grid.shrink_labels(mask), mask[:, ::8, ::8])
    labels = grid.shrink_labels(np.zeros([1, 10, 9, 1], np.uint8))
    np.testing.assert_array_equal(labels[0, ..., 0], [[0, 0], [0, 0], [255, 255]])


def test_upsample_scores_hits_every_eighth_pixel_and_is_linear_between():
    scores = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    pixels = grid.upsample_scores(scores, 17, 25).numpy()
    np.testing.assert_allclose(pixels[:, ::8, ::8], scores, rtol=1e-6)
    middle = (scores[0, 0, 1] + scores[0, 0, 2] + scores[0, 1, 1] + scores[0, 1, 2]) / 4
    np.testing.assert_allclose(pixels[0, 4, 12], middle, rtol=1e-5)
    assert grid.upsample_scores(scores, 12, 20).shape == (1, 12, 20, 2)


def test_interpolate_takes_any_place_and_a_part_of_the_grid():
    cells = np.arange(12, dtype=np.float32).reshape(3, 4, 1) ** 2
    rows, columns = np.float32([1.25, 2.0]), np.float32([0.0, 2.5, 3.0])
    found = grid.interpolate(cells[1:], rows, columns, first=1)
    above, below = (cells[row, [0, 2, 3], 0] for row in (1, 2))
    next_above, next_below = (cells[row, [1, 3, 3], 0] for row in (1, 2))
    share = np.float32([0, 0.5, 0])
    above, below = above + share * (next_above - above), below + share * (next_below - below)
    expected = np.stack([0.75 * above + 0.25 * below, below])[..., np.newaxis]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_interpolate_takes_batches():
    cells = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    rows, columns = np.float32([0.5, 1.75]), np.float32([0.125, 3.0])
    both = grid.interpolate(cells, rows, columns)
    for one, found in zip(cells, both, strict=True):
        np.testing.assert_allclose(found, grid.interpolate(one, rows, columns), rtol=1e-6)


def test_likeliest_labels():
    scores = tf.constant([[[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]])
    np.testing.assert_array_equal(grid.likeliest_labels(scores), [[1, 0]])
    assert grid.likeliest_labels(scores).dtype == tf.uint8
