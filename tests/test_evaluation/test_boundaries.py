"""BF and the mean IoU near boundaries, by hand."""

import numpy as np
import pytest

from deeplab_lfov.evaluation.boundaries import (
    BoundaryF1,
    TrimapMatrices,
    boundary_distance,
    boundary_f1,
)

EVERYWHERE = np.ones((100, 200), bool)  # of a diagonal of 223.6 pixels: 1.68 are allowed


def left(columns, shape=(100, 200)):
    mask = np.zeros(shape, bool)
    mask[:, :columns] = True
    return mask


@pytest.mark.parametrize(("columns", "score"), [(100, 1.0), (101, 1.0), (99, 1.0), (102, 0.0)])
def test_a_boundary_may_be_off_by_a_pixel(columns, score):
    assert boundary_f1(left(100), left(columns), EVERYWHERE) == score


def test_precision_and_recall_by_hand():
    """Half of the predicted boundary is 50 columns off, and half of the truth is not met."""
    prediction = left(100)
    prediction[:50, 50:] = False
    # Of the prediction: 50 pixels at column 99; 50 at column 49, and 50 of the step between them,
    # of which those within 1.68 pixels of column 99 count: row 50, columns 98 and 99.
    ours = 50 + 50 + 49  # the step's last pixel is one of the column's
    precision, recall = (50 + 1) / ours, 51 / 100
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f1(left(100), prediction, EVERYWHERE) == pytest.approx(expected, abs=1e-12)


def test_classes_that_fill_the_picture_and_classes_that_are_missed():
    assert boundary_f1(EVERYWHERE, EVERYWHERE, EVERYWHERE) == 1
    assert boundary_f1(EVERYWHERE, left(100), EVERYWHERE) == 0
    assert boundary_f1(left(100), ~EVERYWHERE, EVERYWHERE) == 0


def test_void_has_no_boundary_and_hides_what_is_in_it():
    counted = ~(left(120) & ~left(80))  # the columns 80 to 119 are void
    assert boundary_f1(left(80), left(80), counted) == 1
    assert boundary_f1(left(80), left(110), counted) == 1
    assert boundary_f1(left(80), left(130), counted) == 0


def test_the_mean_is_over_the_classes_of_each_picture_and_then_over_pictures():
    bf = BoundaryF1(("sky", "road", "car"))
    halves = left(100).astype(np.uint8)
    bf.add(halves, halves)  # sky and road: 1 and 1
    bf.add(halves, np.zeros_like(halves))  # 0 and 0
    bf.add(np.full_like(halves, 255), halves)  # counts nowhere
    bf.add(np.zeros_like(halves), np.zeros_like(halves))  # sky alone: 1
    assert bf.means[-1] == pytest.approx((1 + 0 + 1) / 3)
    assert bf.as_dict() == {
        "sky": pytest.approx(2 / 3),
        "road": 0.5,
        "car": None,
        "mean": pytest.approx(2 / 3),
    }
    assert "car                   absent" in str(bf) and "66.67%" in str(bf)


def test_distance_is_counted_in_steps_from_the_boundary():
    """To one of the 8 neighbors each."""
    labels = np.array([[0, 0, 0, 7, 7]] * 3, np.uint8)
    np.testing.assert_array_equal(boundary_distance(labels), [[3, 2, 1, 1, 2]] * 3)
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 0] = 1
    expected = np.maximum(*np.indices((4, 4)))
    expected[0, 0] = 1
    np.testing.assert_array_equal(boundary_distance(labels), expected)


def test_only_pixels_near_a_boundary_count():
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    prediction = np.array([[1, 0, 0, 0, 0, 1, 1, 1]], np.uint8)
    trimap = TrimapMatrices(("a", "b"), [1, 2, 9])
    trimap.add(truth, prediction)
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
    trimap.add(truth, np.zeros_like(truth))
    assert trimap.matrices[1].counts.tolist() == [[2, 0], [0, 0]]
    assert trimap.shares == {1: 0.5}


def test_pictures_without_a_boundary_add_nothing():
    trimap = TrimapMatrices(("a", "b"), [1, 1000])
    trimap.add(np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8))
    assert trimap.as_dict() == {"1": None, "1000": None} and trimap.shares[1000] == 0
