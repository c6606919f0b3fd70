import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.inference.pictures import batches, pixels

RGB = np.array([[[250, 0, 0], [0, 250, 0], [9, 9, 9]], [[0, 0, 250], [90] * 3, [7] * 3]], np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_pictures_of_pillows_are_turned_as_their_files_are(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10), "red").save(tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        assert pixels(opened).shape == (20, 10, 3)
        np.testing.assert_array_equal(pixels(opened), pixels(tmp_path / f"a.{suffix}"))


def test_pictures_of_pillows_may_have_any_mode():
    clear = Image.fromarray(np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8))
    np.testing.assert_array_equal(pixels(clear), [[[10, 20, 30], [255, 255, 255]]])
    deep = Image.fromarray(np.array([[0x1234]], np.uint16))
    np.testing.assert_array_equal(pixels(deep), [[[0x12] * 3]])
    with pytest.raises(UserError, match="the picture holds floating-point"):
        pixels(Image.new("F", (2, 2)))


def test_a_damaged_picture_of_pillows_is_the_users_error(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)).save(
        tmp_path / "a.png"
    )
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "a.png") as opened, pytest.raises(UserError, match="a.png cannot"):
        pixels(opened)


@pytest.mark.parametrize("other", [None, b"a.jpg", 7, [RGB], (RGB for _ in range(2)), {"a": RGB}])
def test_what_is_no_picture_is_told_what_would_be(other):
    with pytest.raises(TypeError, match=rf"a picture is a path.* got {type(other).__name__}$"):
        pixels(other)


@pytest.mark.parametrize(
    "other",
    [RGB[..., 0], RGB / 255, RGB[np.newaxis], RGB[:0], RGB[..., :2], Image.new("L", (0, 3))],
)
def test_arrays_of_other_types_and_shapes_are_no_pictures(other):
    with pytest.raises(ValueError, match=r"uint8 RGB \[H, W, 3\], got"):
        pixels(other)


def test_batches_are_neighbours_of_one_size_in_their_order():
    wide, high = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
    pictures = [wide, wide + 1, wide + 2, high + 3, wide + 4, high + 5, high + 6]
    found = [
        [int(image[0, 0, 0]) for image in batch]
        for batch in batches(pictures, lambda height, width: height)
    ]
    assert found == [[0, 1], [2], [3], [4], [5, 6]]
    assert list(batches([], max)) == []
