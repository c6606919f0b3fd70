"""The metric of evaluate.py, from Python."""

import json

from deeplab_lfov.evaluation.measure import measure
from deeplab_lfov.evaluation.settings import MeasureSettings
from helpers import VAL


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
