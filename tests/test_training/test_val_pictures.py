"""The pictures of the val list that a run's figures show."""

from pathlib import Path

import pytest

from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError
from deeplab_lfov.training.folders import clear_leftovers
from deeplab_lfov.training.val_pictures import ValPictures

SAMPLES = [Sample(Path(f"{name}.jpg"), Path(f"{name}.png")) for name in "abcdef"]
NAN = float("nan")


@pytest.mark.parametrize(
    ("ious", "numbers"),
    [
        ([0.5, 0.1, NAN, 0.9, 0.3, 0.4], [3, 5, 1]),
        ([NAN, 0.5, NAN, 0.2, NAN, NAN], [1, 3]),
        ([NAN] * 5 + [0.5], [5]),
        ([NAN] * 6, []),
    ],
)
def test_best_median_and_worst(tmp_path, ious, numbers):
    pictures = ValPictures(tmp_path, SAMPLES)
    pictures.choose(ious)
    assert pictures.numbers == numbers


def test_they_stay_those_of_the_first_validation(tmp_path):
    first = ValPictures(tmp_path, SAMPLES)
    first.choose([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    first.choose([0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert first.numbers == ValPictures(tmp_path, SAMPLES).numbers == [5, 3, 0]
    assert ValPictures(tmp_path, SAMPLES[::-1]).numbers == []  # another list
    with (tmp_path / "val_pictures.txt").open("ab") as file:
        file.write(b"\xff")
    assert ValPictures(tmp_path, SAMPLES).numbers == []


def test_a_file_of_somebody_else_stays(tmp_path):
    (tmp_path / "val_pictures.txt").write_text("5 mine")
    with pytest.raises(UserError, match="is of no run"):
        ValPictures(tmp_path, SAMPLES)
    clear_leftovers(tmp_path, tmp_path, 0)
    assert (tmp_path / "val_pictures.txt").read_text() == "5 mine"
