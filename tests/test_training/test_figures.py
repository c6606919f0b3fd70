"""The picture of a run's course."""

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.training.figures import save_curve, smoothed
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
