"""The network that comes along: what is segmented and measured where no weights are named."""

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.cli.inference_flags import settings_of
from deeplab_lfov.weights.eight_bits import PRETRAINED
from helpers import VAL

MOST_BYTES = 21_000_000


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (33, 41, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_it_is_small_enough_to_travel():
    assert PRETRAINED.stat().st_size <= MOST_BYTES


def test_a_picture_alone_is_segmented_by_it(script, picture, tmp_path):
    result = script("inference", picture, "--save_dir", tmp_path / "out")
    assert result.status == 0, result.err
    assert "21 classes, width 1" in result.out and f"from {PRETRAINED}" in result.out
    about = result.out.splitlines()[1]
    assert "VOC 2012" in about and "mean IoU" in about
    assert (tmp_path / "out/a_mask.png").is_file()


def test_evaluation_without_weights_measures_it(script, shapes):
    result = script("evaluate", "--data_dir", shapes, "--data_list", VAL, "--num_steps", 1)
    assert result.status == 0, result.err
    assert f"from {PRETRAINED}" in result.out and "mean IoU" in result.out


def test_masks_that_nobody_calls_vocs_are_not_measured_with_it(script, tmp_path):
    (tmp_path / "val.txt").write_text("a.png m.png\n")
    for name in ("a.png", "m.png"):
        Image.new("L", (9, 9)).save(tmp_path / name)
    result = script("evaluate", "--data_dir", tmp_path)
    assert result.status == 2 and "add --restore_from" in result.err


@pytest.mark.parametrize(
    ("paths", "images", "ckpt"),
    [
        (["a.jpg"], ("a.jpg",), None),
        (["a.jpg", "b.PNG"], ("a.jpg", "b.PNG"), None),
        (["{tmp}"], ("{tmp}",), None),
        (["nowhere"], ("nowhere",), None),
        (["*.jpg"], ("*.jpg",), None),
        (["a.jpg", "snapshots"], ("a.jpg",), "snapshots"),
        (["a.jpg", "{tmp}/run"], ("a.jpg",), "{tmp}/run"),
        (["{tmp}", "model.ckpt-7"], ("{tmp}",), "model.ckpt-7"),
    ],
)
def test_the_last_path_is_weights_unless_it_is_a_picture(picture, tmp_path, paths, images, ckpt):
    (tmp_path / "run").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "run/figure.png")
    (tmp_path / "run/model.ckpt-1.index").touch()
    paths, images = ([path.format(tmp=tmp_path) for path in each] for each in (paths, images))
    settings = settings_of({"images": paths})
    assert settings.images == tuple(images)
    assert settings.ckpt == (ckpt.format(tmp=tmp_path) if ckpt else str(PRETRAINED))


def test_a_picture_that_is_not_there_is_no_checkpoint(script, picture, tmp_path):
    result = script("inference", picture, tmp_path / "b.jpg")
    assert result.status == 2 and f"error: there is no picture {tmp_path}/b.jpg" in result.err
