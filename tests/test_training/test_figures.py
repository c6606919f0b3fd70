"""The picture of a run's course, and the pictures of the val list that its figures show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError
from deeplab_lfov.training.figures import ValPictures, save_curve, smoothed
from helpers import BLUE, ORANGE, rows_of_line

ROWS = [{"step": step, "loss": 100 / step, "learning_rate": 0.1} for step in range(10, 100, 10)]


def test_the_loss_falls_and_the_best_mean_iou_is_marked(tmp_path):
    rows = [dict(row) for row in ROWS]
    for row, iou in zip(rows[2:5], (0.2, 0.3, 0.25), strict=True):
        row["val_mean_iou"] = iou
    save_curve(tmp_path / "a.png", rows, {}, "a run, $1 wide")
    with Image.open(tmp_path / "a.png") as curve:
        loss, iou = rows_of_line(curve, BLUE), rows_of_line(curve, ORANGE)
    assert max(loss) - min(loss) > 400 and loss[min(loss)] < loss[max(loss)]
    assert max(iou) - min(iou) > 100  # its axis fits the values
    save_curve(tmp_path / "a.png", [], {}, "")  # nothing to draw is no error


@pytest.mark.parametrize("num_classes", [2, 41])
def test_classes_have_bars(tmp_path, num_classes):
    ious = {f"class $ {label}": 1.0 for label in range(num_classes)}
    save_curve(tmp_path / "bars.png", ROWS, ious, "title")
    with Image.open(tmp_path / "bars.png") as curve:
        assert curve.size == (1100, 600)
        right = curve.crop((700, 0, 1100, 600)).convert("RGB")
    assert (np.asarray(right) == ORANGE).all(axis=-1).sum() > 50_000


def test_the_running_mean_weighs_what_is_near():
    assert smoothed([2.0, 4.0]).tolist() == [
        2.0,
        pytest.approx((2 * (1 - 1 / 1.04) + 4) / (2 - 1 / 1.04)),
    ]
    assert smoothed([3.0] * 500) == pytest.approx([3.0] * 500)


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
    assert (tmp_path / "val_pictures.txt").read_text() == "5 mine"
