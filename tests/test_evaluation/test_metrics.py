import numpy as np
import pytest

from deeplab_lfov import ConfusionMatrix
from deeplab_lfov.evaluation.metrics import PerPicture

NAMES = ("background", "cat", "dog", "never")
TRUTH = np.array([[0, 0, 0, 0], [1, 1, 1, 255]], np.uint8)
PREDICTION = np.array([[0, 0, 0, 1], [1, 1, 2, 3]], np.uint8)


@pytest.fixture
def matrix():
    matrix = ConfusionMatrix(NAMES)
    matrix.update(TRUTH, PREDICTION)
    return matrix


def test_counts_by_hand(matrix):
    expected = [[3, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(matrix.counts, expected)


def test_numbers_by_hand(matrix):
    np.testing.assert_allclose(matrix.iou, [3 / 4, 2 / 4, 0 / 1, np.nan])
    assert matrix.mean_iou == pytest.approx((3 / 4 + 2 / 4 + 0) / 3)  # `never` is left out
    assert matrix.pixel_accuracy == pytest.approx(5 / 7)
    numbers = matrix.as_dict()
    assert numbers["mean_accuracy"] == pytest.approx((3 / 4 + 2 / 3) / 2)  # the truth has no dog
    assert numbers["frequency_weighted_iou"] == pytest.approx((4 * 3 / 4 + 3 * 2 / 4) / 7)
    assert numbers["iou"] == {"background": 0.75, "cat": 0.5, "dog": 0.0, "never": None}
    assert numbers["mean_iou"] == matrix.mean_iou


def test_one_matrix_over_the_whole_list_is_not_a_mean_of_pictures():
    matrix = ConfusionMatrix(NAMES[:2])
    matrix.update(np.array([0, 0, 1]), np.array([0, 0, 1]))
    matrix.update(np.array([1, 1, 1]), np.array([0, 1, 1]))
    assert matrix.iou[1] == pytest.approx(3 / 4)


def test_report_says_who_was_left_out(matrix):
    report = str(matrix)
    assert "75.00%" in report and "absent" in report
    assert "41.67%  (1 absent from truth and prediction left out)" in report


def test_nothing_counted_gives_none():
    matrix = ConfusionMatrix(NAMES)
    matrix.update(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert matrix.as_dict()["mean_iou"] is None
    assert "nan" in str(matrix)


def test_misfits_are_refused(matrix):
    with pytest.raises(ValueError):
        matrix.update(TRUTH, PREDICTION[:1])
    with pytest.raises(ValueError):
        matrix.update(TRUTH, PREDICTION + 3)
    with pytest.raises(ValueError):
        matrix.update(TRUTH + 4, PREDICTION)


def test_names_from_a_file_do_not_reach_the_terminal():
    table = str(ConfusionMatrix(["sky\x1b[2J", "road\r\u202e"]))
    assert all(line.isprintable() for line in table.splitlines())
    assert "sky?[2J" in table and "road??" in table


def test_each_picture_has_its_own_matrix():
    pictures = PerPicture(["a", "b", "c"])
    pictures.add("x", np.array([[0, 0, 2, 255]], np.uint8), np.array([[0, 1, 2, 0]], np.uint8))
    pictures.add("y", np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert pictures.cells[0].tolist() == [[0, 0, 1], [0, 1, 1], [2, 2, 1]]
    first, second = pictures.matrices()
    assert (
        first.counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]] == pictures.whole.counts.tolist()
    )
    assert pictures.mean_ious() == pytest.approx([(1 / 2 + 0 + 1) / 3, np.nan], nan_ok=True)
    assert pictures.cells[1].shape == (0, 3) and not second.counts.any()
    assert [each["name"] for each in pictures.as_list()] == ["x", "y"]
