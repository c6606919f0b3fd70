"""Which task of evaluate.py flags ask for, and which it has no use for."""

import pytest

from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.settings import (
    CheckpointsSettings,
    MeasureSettings,
    SearchSettings,
    SubmissionSettings,
    settings_of_task,
)


def settings(**flags):
    return settings_of_task({"restore_from": "x"} | flags)


def test_a_flag_chooses_the_task(tmp_path):
    assert settings(all_checkpoints=False, bf=False) == MeasureSettings(
        restore_from="x", data_list="ImageSets/Segmentation/val.txt"
    )
    assert isinstance(settings(all_checkpoints=True, bf=False), CheckpointsSettings)
    assert settings(crf_search=2.0, palette="p", data_list="l") == SearchSettings(
        restore_from="x", data_list="l", palette="p", crf_search=2.0
    )
    (tmp_path / "val.txt").touch()
    found = settings(voc_submission="a.zip", save_dir="b", data_dir=str(tmp_path))
    assert isinstance(found, SubmissionSettings) and found.data_list == "val.txt"


@pytest.mark.parametrize(
    ("task", "flag"),
    [
        ({"all_checkpoints": True}, {"json": "a"}),
        ({"all_checkpoints": True}, {"save_dir": "a"}),
        ({"crf_search": 2.0}, {"save_dir": "a"}),
        ({"crf_search": 2.0}, {"bf": True}),
        ({"crf_search": 2.0}, {"voc_submission": "a.zip"}),
        ({"voc_submission": "a.zip"}, {"json": "a"}),
        ({"voc_submission": "a.zip"}, {"ignore_label": 0}),
    ],
)
def test_a_flag_that_the_task_does_not_have_is_named(task, flag):
    with pytest.raises(UserError, match=f"leave out --{next(iter(flag))}"):
        settings(**task, **flag)
