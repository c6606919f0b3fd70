"""What inference.py says of paths that stand for no image."""

import pytest

from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.find_images import find_images, split_weights


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.com/a.jpg", "is an address: download the image"),
        ("empty", "the folder empty has no pictures .*: it is empty"),
        ("phone", "it holds a.heic; convert"),
        ("gone.jpg", "there is no picture gone.jpg"),
    ],
)
def test_a_path_without_images_is_told_why(tmp_path, monkeypatch, path, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone/a.heic").touch()
    with pytest.raises(UserError, match=words):
        find_images([path])


def test_a_number_among_paths_belongs_to_a_list():
    with pytest.raises(UserError, match="no file 1; lists are written with commas"):
        split_weights(["a.jpg", "1"])
