"""Two evaluations of one list."""

import json

import numpy as np
import pytest

from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.comparison import Comparison, check_comparable, read_evaluated
from deeplab_lfov.evaluation.metrics import PerPicture

NAMES = "one", "two", "three"


def evaluation(*predictions, truth=(0, 0, 1, 1, 255), classes=("road", "sky"), names=NAMES):
    pictures = PerPicture(classes)
    for name, prediction in zip(names, predictions, strict=False):
        pictures.add(name, np.array([truth], np.uint8), np.array([prediction], np.uint8))
    return pictures


GOOD, BAD = (0, 0, 1, 1, 0), (0, 1, 1, 1, 0)
"""IoU 1 and 1; and 1/2 and 2/3, a mean of 7/12."""


def test_the_change_of_classes_pictures_and_mean():
    found = Comparison(evaluation(GOOD, BAD, GOOD), evaluation(BAD, BAD, BAD), "where")
    # ours: road 5 of 6, sky 6 of 7; theirs: road 3 of 6, sky 6 of 9
    assert found.ious[0] == pytest.approx([5 / 6, 6 / 7])
    assert found.difference == pytest.approx((5 / 6 + 6 / 7) / 2 - 7 / 12)
    assert found.of_pictures == pytest.approx([5 / 12, 0, 5 / 12])
    low, high = found.interval
    assert 0 <= low < found.difference < high < 0.42
    lines = [line.split() for line in str(found).splitlines()]
    assert ["road", "83.33%", "50.00%", "+33.33"] in lines
    assert "2 pictures better, 0 worse, 1 the same" in str(found)
    assert ["+41.67", "three"] in lines and "two" not in str(found)
    assert found.as_dict()["mean_iou"] == pytest.approx(7 / 12)


def test_pictures_that_all_change_alike_leave_no_doubt():
    found = Comparison(evaluation(GOOD, GOOD), evaluation(BAD, BAD), "where")
    assert found.interval == pytest.approx((5 / 12, 5 / 12))


def test_compared_with_itself_nothing_changes():
    one = evaluation(GOOD, BAD)
    found = Comparison(one, one, "where")
    assert found.difference == 0 and found.interval == (0, 0)
    assert "0 pictures better, 0 worse, 2 the same" in str(found)


def test_a_class_that_is_absent_has_no_change():
    both = [evaluation(each, classes=("road", "sky", "sea")) for each in (GOOD, BAD)]
    lines = [line.split() for line in str(Comparison(*both, "where")).splitlines()]
    assert ["sea", "absent", "absent"] in lines


def test_a_list_of_void_alone_has_no_numbers():
    void = evaluation(GOOD, truth=(255,) * 5)
    assert Comparison(void, void, "where").as_dict()["difference"] is None


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"names": ("one", "2")}, "where is of other pictures"),
        ({"classes": ("road", "sea")}, "where is of other classes"),
        ({"classes": ("road", "sky", "sea")}, "where is of other classes"),
    ],
)
def test_what_cannot_be_compared(others, words):
    with pytest.raises(UserError, match=words):
        check_comparable(("road", "sky"), NAMES[:2], evaluation(GOOD, BAD, **others), "where")


def written(pictures):
    return {"iou": {"road": 1.0, "sky": None}, "pictures": pictures}


def test_what_was_written_is_read(tmp_path):
    pictures = [
        {"name": "one", "confusion": [[0, 0, 3], [0, 1, 2]]},
        {"name": "b", "confusion": []},
    ]
    (tmp_path / "a.json").write_text(json.dumps(written(pictures)))
    found = read_evaluated(tmp_path / "a.json")
    assert found.names == ["one", "b"] and found.class_names == ("road", "sky")
    sums = [matrix.sums().tolist() for matrix in found.matrices()]
    assert sums == [[[3, 0], [5, 0], [3, 2]], [[0, 0]] * 3]


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "3", '{"mean_iou": 1}']
    + [json.dumps(written(each)) for each in (None, [3], [{"name": "a"}])]
    + [
        json.dumps(written([{"name": "a", "confusion": cells}]))
        for cells in ([[0, 5, 1]], [[0, 0, -1]], [[0, 0]], "x", [[0, 0, 1e30]])
    ],
)
def test_files_that_are_no_evaluation_are_one_line(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match="a.json has no pictures to compare with"):
        read_evaluated(tmp_path / "a.json")
    with pytest.raises(UserError, match="none.json"):
        read_evaluated(tmp_path / "none.json")
