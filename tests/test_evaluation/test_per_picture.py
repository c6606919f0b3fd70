"""The confusion matrices of single pictures."""

import numpy as np
import pytest

from deeplab_lfov.evaluation.per_picture import PerPicture


def test_each_picture_has_its_own_matrix():
    pictures = PerPicture(["a", "b", "c"])
    pictures.add(np.array([[0, 0, 2, 255]], np.uint8), np.array([[0, 1, 2, 0]], np.uint8))
    pictures.add(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert pictures.cells[0].tolist() == [[0, 0, 1], [0, 1, 1], [2, 2, 1]]
    assert pictures.matrix(0).counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert pictures.matrix(0).mean_iou == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert pictures.cells[1].shape == (0, 3) and not pictures.matrix(1).counts.any()


class TwoWorkers:
    """The second of two workers that share a list, the first having one picture of class 1."""

    num_workers = 2

    def share(self, things):
        return things[1::2]

    def sum(self, numbers):
        others = np.zeros_like(numbers)
        others[0, 1, 1] = 5
        return numbers + others


def test_workers_learn_of_each_others_pictures():
    pictures = PerPicture(["a", "b"])
    pictures.add(np.zeros((1, 3), np.uint8), np.zeros((1, 3), np.uint8))
    pictures.gather(2, TwoWorkers())
    assert [cells.tolist() for cells in pictures.cells] == [[[1, 1, 5]], [[0, 0, 3]]]
