"""The metric of evaluate.py, as a call."""

import json

import pytest

from deeplab_lfov.distributed.cluster import find_cluster
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.evaluation.measure import measure
from deeplab_lfov.evaluation.settings import EvaluationSettings
from deeplab_lfov.evaluation.setup import make_predictor
from helpers import VAL


@pytest.mark.parametrize("num_steps", [1, None])
def test_numbers_are_of_as_many_pictures_as_wanted(shapes, checkpoint, tmp_path, capsys, num_steps):
    settings = EvaluationSettings(
        data_dir=str(shapes),
        data_list=VAL,
        restore_from=str(checkpoint),
        num_steps=num_steps,
        json=str(tmp_path / "numbers.json"),
        save_dir=str(tmp_path / "masks"),
    )
    measure(settings, make_predictor(settings), Replicas(find_cluster(), most=1))
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["num_images"] == len(numbers["pictures"]) == (num_steps or 3)
    assert len(list((tmp_path / "masks").iterdir())) == numbers["num_images"]
    assert f"{numbers['mean_iou']:.2%}" in capsys.readouterr().out
