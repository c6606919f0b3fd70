"""The metric of evaluate.py, from Python."""

import json

import numpy as np
import pytest

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.evaluation.measure import Evaluation, measure
from deeplab_lfov.evaluation.settings import MeasureSettings
from helpers import VAL


def test_all_parts_learn_of_every_picture(tmp_path):
    evaluation = Evaluation(Classes(("a", "b")), trimap_widths=[1], bf=True)
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    for name, prediction in (("x", [0, 0, 1, 0]), ("y", [0, 1, 1, 1])):
        sample = Sample(tmp_path / f"{name}.jpg", tmp_path / "mask.png")
        evaluation.add(sample, truth, np.array([prediction], np.uint8))
    assert evaluation.per_picture.names == ["x", "y"] and evaluation.report is None
    assert evaluation.matrix.counts.tolist() == [[3, 1], [0, 2]]
    numbers = evaluation.as_dict()
    assert numbers["iou"] == pytest.approx({"a": 3 / 4, "b": 2 / 3})
    assert numbers["trimap"]["1"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # the middle two columns
    assert set(numbers["bf"]) == {"a", "b", "mean"} and "BF" in str(evaluation)


def test_numbers_and_masks_are_written(shapes, checkpoint, tmp_path, capsys):
    settings = MeasureSettings(
        data_dir=str(shapes),
        data_list=VAL,
        restore_from=str(checkpoint),
        num_steps=2,
        json=str(tmp_path / "numbers.json"),
        save_dir=str(tmp_path / "masks"),
    )
    measure(settings)
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["num_images"] == len(numbers["pictures"]) == 2
    masks = [f"{picture['name']}.png" for picture in numbers["pictures"]]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == sorted(masks)
    assert f"{numbers['mean_iou']:.2%}" in capsys.readouterr().out
