import numpy as np
import pytest
from deeplab_lfov.data.class_weights import balanced, read_class_weights

from deeplab_lfov import UserError


def test_weights_of_the_root_are_milder():
    counts = np.zeros(256, np.int64)
    counts[[0, 2, 255]] = 90, 10, 50
    assert balanced(counts, 3, 0.5) == pytest.approx(((100 / 180) ** 0.5, 0, 5**0.5))


def test_balanced_weights_are_inverse_to_the_pixels():
    counts = np.zeros(256, np.int64)
    counts[[0, 2, 255]] = 90, 10, 1000
    assert balanced(counts, 3) == pytest.approx((100 / 180, 0, 100 / 20))


def test_a_file_has_a_weight_in_each_line(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("1\n\n# cats\n2.5\n")
    assert read_class_weights(path, 2) == (1.0, 2.5)
    for text, message in (
        ("1\n", "1 weights, not 2"),
        ("1\nx", "could not convert"),
        ("1\n-1", "numbers from 0"),
        ("0\n0", "not all of them 0"),
        ("1\nnan", "numbers from 0"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_class_weights(path, 2)


def test_void_and_empty_data_weigh_nothing():
    counts = np.zeros(256, np.int64)
    assert balanced(counts, 2) == (0, 0)
    counts[[0, 255]] = 10, 1000
    assert balanced(counts, 256)[255] == 0 and balanced(counts, 256)[0] == 1
