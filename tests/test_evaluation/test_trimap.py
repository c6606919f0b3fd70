import numpy as np
import pytest

from deeplab_lfov.evaluation.trimap import TrimapMatrices, boundary_distance


def test_distance_is_counted_in_steps_from_the_boundary():
    labels = np.array([[0, 0, 0, 7, 7]] * 3, np.uint8)
    expected = [[3, 2, 1, 1, 2]] * 3
    np.testing.assert_array_equal(boundary_distance(labels), expected)


def test_a_diagonal_step_is_one_step():
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 0] = 1
    expected = np.maximum(*np.indices((4, 4)))
    expected[0, 0] = 1
    np.testing.assert_array_equal(boundary_distance(labels), expected)


def test_only_pixels_near_a_boundary_count():
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    prediction = np.array([[1, 0, 0, 0, 0, 1, 1, 1]], np.uint8)
    trimap = TrimapMatrices(("a", "b"), [1, 2, 9])
    trimap.update(truth, prediction)
    assert [m.counts.tolist() for m in trimap.matrices.values()] == [
        [[1, 0], [1, 0]],
        [[2, 0], [1, 1]],
        [[3, 1], [1, 3]],
    ]
    assert trimap.shares == {1: 0.25, 2: 0.5, 9: 1.0}
    assert trimap.as_dict()["1"] == pytest.approx((1 / 2 + 0) / 2)
    assert " 25.00%" in str(trimap) and "at most 9" in str(trimap)


def test_void_is_a_label_with_boundaries_and_never_counts():
    truth = np.array([[0, 0, 0, 255, 255, 0]], np.uint8)
    trimap = TrimapMatrices(("a", "b"), [1])
    trimap.update(truth, np.zeros_like(truth))
    assert trimap.matrices[1].counts.tolist() == [[2, 0], [0, 0]]
    assert trimap.shares == {1: 0.5}


def test_pictures_without_a_boundary_add_nothing():
    trimap = TrimapMatrices(("a", "b"), [1, 1000])
    trimap.update(np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8))
    assert trimap.as_dict() == {"1": None, "1000": None} and trimap.shares[1000] == 0
