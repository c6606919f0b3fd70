"""Runs that version 1.0 began go on and evaluate as they did then.

Each was made by `train.py --width 0.015625 --input_size 33,33 --batch_size 2 --num_steps 12
--save_pred_every 6 --val_every 6 --learning_rate 1e-3 --deterministic` on the drawn data set, with
--recipe adam and poly; evaluation.json is what its evaluate.py wrote.
"""

import json
import shutil

import numpy as np
import pytest

from deeplab_lfov.weights.formats import read_tensors
from helpers import DATA, VAL

RUNS = DATA / "version_1_0"


@pytest.mark.parametrize("recipe", ["adam", "poly"])
def test_a_run_goes_on_to_the_same_end(script, shapes, tmp_path, recipe):
    shutil.copytree(RUNS / recipe, tmp_path / "run", ignore=shutil.ignore_patterns("*-12*"))
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "classes.txt").write_text("other\nnames\n")  # which version 1.0 did not look for
    flags = ["--snapshot_dir", tmp_path / "run", "--resume", "--data_dir", data]
    result = script("train", *flags)
    assert result.status == 0, result.err
    assert "steps    7 to 12 of 2 x 1 crops" in result.out
    assert "cores, tensorfloat32 (float32 here)" in result.out  # so version 1.0 computed float32
    before, after = (
        read_tensors(run / "model.ckpt-12") for run in (RUNS / recipe, tmp_path / "run")
    )
    assert set(before) == set(after) - {"class_colors", "void_colors"}
    for name, tensor in before.items():
        if tensor.dtype == np.float32:  # rounding differs between processors
            np.testing.assert_allclose(after[name], tensor, rtol=0, atol=2e-5, err_msg=name)
    lines = [
        (run / "history.csv").read_text().splitlines() for run in (RUNS / recipe, tmp_path / "run")
    ]
    assert len(lines[0]) == len(lines[1])
    for before, after in zip(lines[0][:2], lines[1][:2], strict=True):
        assert after.startswith(f"{before},")  # and new columns


@pytest.mark.parametrize("recipe", ["adam", "poly"])
def test_a_run_evaluates_to_the_same_numbers(script, shapes, tmp_path, recipe):
    data = ["--data_dir", shapes, "--data_list", VAL, "--json", tmp_path / "numbers.json"]
    result = script("evaluate", *data, "--restore_from", RUNS / recipe)
    assert result.status == 0, result.err
    before = json.loads((RUNS / recipe / "evaluation.json").read_text())
    after = json.loads((tmp_path / "numbers.json").read_text())
    assert set(before) <= set(after)
    assert after["mean_iou"] == pytest.approx(before["mean_iou"], abs=2e-3)
