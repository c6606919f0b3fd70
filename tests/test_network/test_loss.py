import numpy as np
import tensorflow as tf

from deeplab_lfov.network.loss import cell_weights, cross_entropy

SCORES = np.log([[[[3.0, 1.0], [1.0, 1.0], [9.0, 1.0]]]]).astype(np.float32)
CELLS = np.array([[[[0], [1], [255]]]], np.uint8)
LABELS = np.full((1, 1, 17, 1), 7, np.uint8)  # only every 8th pixel counts
LABELS[:, :, ::8] = CELLS


def test_cross_entropy_is_a_sum_without_void():
    total = cross_entropy(SCORES, LABELS)
    np.testing.assert_allclose(total, -np.log(3 / 4) - np.log(1 / 2), rtol=1e-6)
    np.testing.assert_array_equal(cell_weights(CELLS), [[[1, 1, 0]]])


def test_class_weights_weigh_the_cells():
    weights = tf.constant([0.5, 4.0])
    total = cross_entropy(SCORES, LABELS, weights)
    np.testing.assert_allclose(total, -0.5 * np.log(3 / 4) - 4 * np.log(1 / 2), rtol=1e-6)
    np.testing.assert_array_equal(cell_weights(CELLS, weights), [[[0.5, 4, 0]]])


def test_infinite_scores_of_void_cells_do_not_count():
    scores = SCORES.copy()
    scores[0, 0, 2] = 1e30
    assert np.isfinite(cross_entropy(scores, LABELS))


def test_void_has_no_weight_even_among_256_classes():
    weights = cell_weights(CELLS, tf.ones([256]))
    np.testing.assert_array_equal(weights, [[[1, 1, 0]]])
