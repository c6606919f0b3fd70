import numpy as np
import tensorflow as tf

from deeplab_lfov import objective


def test_pad_to_grid_fills_the_bottom_and_right():
    padded = objective.pad_to_grid(tf.ones([1, 16, 17, 1], tf.uint8), 255).numpy()[0, ..., 0]
    assert padded.shape == (17, 17)
    assert (padded[:16] == 1).all() and (padded[16] == 255).all()
    assert objective.pad_to_grid(tf.ones([1, 1, 18, 2])).shape == (1, 1, 25, 2)


def test_shrink_labels_takes_every_eighth_pixel():
    mask = np.arange(17 * 25, dtype=np.uint8).reshape(1, 17, 25, 1)
    np.testing.assert_array_equal(objective.shrink_labels(mask), mask[:, ::8, ::8])


def test_shrink_labels_pads_other_sizes_with_void():
    labels = objective.shrink_labels(np.zeros([1, 10, 9, 1], np.uint8))
    np.testing.assert_array_equal(labels[0, ..., 0], [[0, 0], [0, 0], [255, 255]])


def test_upsample_scores_hits_every_eighth_pixel_and_is_linear_between():
    scores = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    pixels = objective.upsample_scores(scores, 17, 25).numpy()
    np.testing.assert_allclose(pixels[:, ::8, ::8], scores, rtol=1e-6)
    middle = (scores[0, 0, 1] + scores[0, 0, 2] + scores[0, 1, 1] + scores[0, 1, 2]) / 4
    np.testing.assert_allclose(pixels[0, 4, 12], middle, rtol=1e-5)
    assert objective.upsample_scores(scores, 12, 20).shape == (1, 12, 20, 2)


SCORES = np.log([[[[3.0, 1.0], [1.0, 1.0], [9.0, 1.0]]]]).astype(np.float32)
LABELS = np.array([[[[0], [1], [255]]]], np.uint8)


def test_cross_entropy_is_a_sum_without_void():
    total = objective.cross_entropy(SCORES, LABELS)
    np.testing.assert_allclose(total, -np.log(3 / 4) - np.log(1 / 2), rtol=1e-6)
    np.testing.assert_array_equal(objective.label_weights(LABELS), [[[1, 1, 0]]])


def test_class_weights_weigh_the_cells():
    weights = tf.constant([0.5, 4.0])
    total = objective.cross_entropy(SCORES, LABELS, weights)
    np.testing.assert_allclose(total, -0.5 * np.log(3 / 4) - 4 * np.log(1 / 2), rtol=1e-6)
    np.testing.assert_array_equal(objective.label_weights(LABELS, weights), [[[0.5, 4, 0]]])


def test_infinite_scores_of_void_cells_do_not_count():
    scores = SCORES.copy()
    scores[0, 0, 2] = 1e30
    assert np.isfinite(objective.cross_entropy(scores, LABELS))


def test_void_has_no_weight_even_among_256_classes():
    weights = objective.label_weights(LABELS, tf.ones([256]))
    np.testing.assert_array_equal(weights, [[[1, 1, 0]]])
