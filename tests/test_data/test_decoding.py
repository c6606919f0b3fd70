"""Odd and damaged files: each gives pixels or a UserError."""

import io
import os
import socket

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.data import image_files as pictures

READERS = {
    "read_image": pictures.read_image,
    "read_picture": pictures.read_picture,
    "image_size": pictures.image_size,
    "mask_mode": pictures.mask_mode,
    "read_mask": lambda path: pictures.read_mask(path, 21),
}


@pytest.fixture(params=["pipe", "socket", "device", "folder"])
def no_file(request, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        monkeypatch.chdir(tmp_path)  # a socket's name may have 100 characters
        with socket.socket(socket.AF_UNIX) as here:
            here.bind("a.png")
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_only_files_are_opened(no_file, read):
    with pytest.raises(UserError, match=f"{no_file} is a folder, a pipe or a device"):
        read(no_file)


def test_what_is_no_file_is_no_output_and_is_not_replaced(no_file):
    assert not pictures.is_output(no_file)
    with pytest.raises(UserError, match="exists"):
        pictures.write_mask(no_file, np.zeros((1, 1), np.uint8))


def test_a_palette_png_without_its_palette(tmp_path):
    path = tmp_path / "a.png"
    pictures.write_mask(path, np.array([[1, 5]], np.uint8))
    head, palette = path.read_bytes().split(b"PLTE")
    path.write_bytes(head[:-4] + palette[3 * 256 + 4 :])
    with pytest.raises(UserError, match=f"{path} cannot be decoded as a picture: \\w") as error:
        pictures.read_image(path)
    assert error.value.path == path
    np.testing.assert_array_equal(pictures.read_mask(path, 21), [[1, 5]])


@pytest.mark.parametrize("orientation", range(2, 9))
def test_pictures_are_turned_as_pillow_turns_them(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_an_upright_tiff_has_its_rows(tmp_path, compression):
    """Pillow turns the size of a TIFF before it reads the pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rows = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
    Image.fromarray(rows).save(tmp_path / "a.tif", exif=exif, compression=compression)
    expected = [[3, 0], [4, 1], [5, 2]]
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "a.tif")[..., 0], expected)


@pytest.mark.parametrize(
    ("place", "name"), [(Image.Image, "load"), (Image.Image, "convert"), (Classes, "labels_of")]
)
def test_without_memory_to_decode_or_for_what_comes_after(tmp_path, monkeypatch, place, name):
    def without_memory(*_):
        raise MemoryError

    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    Image.new("L", (3, 2)).save(tmp_path / "b.png")
    monkeypatch.setattr(place, name, without_memory)
    path, read = {
        "load": (tmp_path / "a.png", pictures.image_size),
        "convert": (tmp_path / "b.png", pictures.read_image),
        "labels_of": (tmp_path / "a.png", READERS["read_mask"]),
    }[name]
    with pytest.raises(UserError, match=f"out of memory for {path}; cut"):
        read(path)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_the_first_of_several_pictures_counts(tmp_path, suffix):
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue", "lime")]
    path = tmp_path / f"a{suffix}"
    lossless = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless)
    image = pictures.read_image(path)
    assert pictures.image_size(path) == image.shape[:2] == (4, 5)
    np.testing.assert_array_equal(image, np.full((4, 5, 3), [255, 0, 0]))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_an_empty_file(tmp_path, read):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match="a.jpg cannot be decoded"):
        read(tmp_path / "a.jpg")


def test_a_name_that_no_file_can_have():
    for name in ("a\0b.png", "a" * 5000):
        with pytest.raises(UserError, match="cannot be decoded"):
            pictures.read_image(name)
        assert not pictures.is_output(name)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_junk_in_place_of_exif_data_is_upright_in_both(tmp_path):
    whole = io.BytesIO()
    Image.new("RGB", (30, 20)).save(whole, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    (tmp_path / "a.jpg").write_bytes(whole.getvalue())
    size = pictures.image_size(tmp_path / "a.jpg")
    assert size == pictures.read_image(tmp_path / "a.jpg").shape[:2] == (20, 30)
