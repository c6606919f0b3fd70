import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.submission import VocSubmission


def write(path, labels):
    with VocSubmission(path) as submission:
        submission.add("2012_000001", labels)


def test_masks_lie_where_the_server_looks_and_hold_indices(tmp_path):
    labels = np.array([[0, 20], [15, 7]], np.uint8)
    write(tmp_path / "new" / "out.zip", labels)
    with zipfile.ZipFile(tmp_path / "new" / "out.zip") as archive:
        assert archive.namelist() == ["results/VOC2012/Segmentation/comp6_test_cls/2012_000001.png"]
        mask = Image.open(io.BytesIO(archive.read(archive.namelist()[0])))
    assert mask.mode == "P" and mask.getpalette()[3:6] == [128, 0, 0]
    np.testing.assert_array_equal(np.asarray(mask), labels)


def test_the_same_masks_give_the_same_bytes_over_an_earlier_submission(tmp_path):
    path = tmp_path / "out.zip"
    write(path, np.zeros((3, 3), np.uint8))
    before = path.read_bytes()
    write(path, np.zeros((3, 3), np.uint8))
    assert path.read_bytes() == before


def test_nothing_is_left_of_a_submission_that_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt), VocSubmission(tmp_path / "out.zip") as submission:
        submission.add("a", np.zeros((3, 3), np.uint8))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_foreign_files_and_unwritable_places_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("precious.txt", "x")
    (tmp_path / "text.zip").write_text("precious")
    for name in ("mine.zip", "text.zip"):
        with pytest.raises(UserError, match="exists"):
            VocSubmission(tmp_path / name)
    for path in ("/dev/null/out.zip", tmp_path / "out.tar"):
        with pytest.raises(UserError):
            VocSubmission(path)
