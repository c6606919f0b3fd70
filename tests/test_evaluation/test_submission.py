import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.evaluation.submission import add_mask, writable_submission


def write(path, labels):
    with zipfile.ZipFile(writable_submission(path), "w") as archive:
        add_mask(archive, "2012_000001", labels)


def test_masks_lie_where_the_server_looks_and_hold_indices(tmp_path):
    labels = np.array([[0, 20], [15, 7]], np.uint8)
    path = tmp_path / "new" / "out.zip"
    write(path, labels)
    before = path.read_bytes()
    write(path, labels)  # over an earlier submission, in the same bytes
    assert path.read_bytes() == before
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["results/VOC2012/Segmentation/comp6_test_cls/2012_000001.png"]
        mask = Image.open(io.BytesIO(archive.read(archive.namelist()[0])))
    assert mask.mode == "P" and mask.getpalette()[3:6] == [128, 0, 0]
    np.testing.assert_array_equal(np.asarray(mask), labels)


def test_foreign_files_and_unwritable_places_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("precious.txt", "x")
    (tmp_path / "text.zip").write_text("precious")
    for name in ("mine.zip", "text.zip"):
        with pytest.raises(UserError, match="exists"):
            writable_submission(tmp_path / name)
    for path in ("/dev/null/out.zip", tmp_path / "out.tar"):
        with pytest.raises(UserError):
            writable_submission(path)
