import io
import resource
import zipfile

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.evaluation.submission import VocSubmission


def write(path, labels):
    submission = VocSubmission(path)
    with submission.opened():
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
    submission = VocSubmission(tmp_path / "out.zip")
    with pytest.raises(KeyboardInterrupt), submission.opened():
        submission.add("a", np.zeros((3, 3), np.uint8))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    labels = np.random.default_rng(0).integers(0, 21, (500, 500), np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot write .*out.zip: File too large"):
            write(tmp_path / "out.zip", labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    left, foreign = (tmp_path / f".{name}.2147483647.partial.zip" for name in ("out", "other"))
    left.touch()
    foreign.touch()
    write(tmp_path / "out.zip", np.zeros((3, 3), np.uint8))
    assert sorted(tmp_path.iterdir()) == [foreign, tmp_path / "out.zip"]


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
