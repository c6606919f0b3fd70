"""Files made to harm: each gives pixels or a UserError, soon and in little memory."""

import io
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.data import image_files as pictures
from helpers import under_memory_limit

READERS = {
    "read_image": pictures.read_image,
    "read_picture": pictures.read_picture,
    "image_size": pictures.image_size,
    "mask_mode": pictures.mask_mode,
    "read_mask": lambda path: pictures.read_mask(path, 21),
}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, size, color_type, rows, *chunks, depth=8):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + chunk(b"IEND", b""))
    return path


def tiff(path, *tags):
    """A TIFF of 2 x 1 grey pixels, 7 and 9, with more (tag, type, count, value or offset)."""
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 2), *tags]
    content = b"II*\0" + struct.pack("<I", 10) + b"\x07\x09" + struct.pack("<H", len(entries))
    content += b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0\0\0\0"
    path.write_bytes(content)
    return path


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


def test_a_link_to_a_file_is_read(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert pictures.read_image(tmp_path / "b.png").shape == (2, 3, 3)


def test_a_palette_png_without_its_palette(tmp_path):
    path = png(tmp_path / "a.png", (2, 1), 3, b"\0\x01\x05")
    with pytest.raises(UserError, match=f"{path} cannot be decoded as a picture: \\w") as error:
        pictures.read_image(path)
    assert error.value.path == path
    np.testing.assert_array_equal(pictures.read_mask(path, 21), [[1, 5]])


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_are_upright(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"a{suffix}"
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert pictures.read_image(path).shape[:2] == pictures.image_size(path) == (20, 30)


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


def test_without_memory_for_what_comes_after_decoding(tmp_path):
    """A bit a pixel: 120 kB of file, a gigabyte once it is decoded, and 3 as colours."""
    row = zlib.compressobj(9)
    rows = b"".join(row.compress(bytes(3876)) for _ in range(31_000)) + row.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 31_000, 31_000, 1, 0, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    code = """
        import sys
        from deeplab_lfov import UserError
        from deeplab_lfov.data.image_files import read_image
        try:
            read_image(sys.argv[1])
        except UserError as error:
            print(error)
    """
    assert under_memory_limit(1.6, code, path).startswith(f"out of memory for {path}; cut")


def test_a_mask_that_cannot_be_looked_up_for_want_of_memory(tmp_path, monkeypatch):
    from deeplab_lfov.data.palette import Palette

    def without_memory(*_):
        raise MemoryError

    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    monkeypatch.setattr(Palette, "labels_of", without_memory)
    with pytest.raises(UserError, match="out of memory"):
        pictures.read_mask(tmp_path / "a.png", 21)


@pytest.mark.parametrize(
    ("head", "data", "message"),
    [
        (b"P6\n#" + b"x" * 5_000_000 + b"\n2 1 255\n", b"abcdef", "a comment of over 65,536 b"),
        (b"P5\n2 1 " + b"#\n" * 40_000 + b"255\n", b"ab", "a comment of over 65,536 bytes"),
        (b"P3\n2 1 255\n1 2 3 ", b"#\n" * 500_000 + b"4 5 6\n", "over 10,000 comments"),
    ],
)
def test_long_comments_in_a_ppm_are_refused(tmp_path, head, data, message):
    path = tmp_path / "a.ppm"
    path.write_bytes(head + data)
    for read in READERS.values():
        with pytest.raises(UserError, match=f"{path} has {message}"):
            read(path)


def test_usual_comments_in_a_ppm_are_skipped(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P3 # by hand\n#\n2 1 255\n1 2 3 # red\n4 5 6\n")
    image = pictures.read_image(tmp_path / "a.ppm")
    np.testing.assert_array_equal(image, [[[1, 2, 3], [4, 5, 6]]])
    (tmp_path / "b.ppm").write_bytes(b"P6\n# by hand\n1 1 255\n###")  # hashes that are pixels
    np.testing.assert_array_equal(pictures.read_image(tmp_path / "b.ppm"), [[[35, 35, 35]]])


def test_text_that_unpacks_to_gigabytes(tmp_path):
    """A hundred chunks of text, each a megabyte of zeros within a kilobyte."""
    text = zlib.compress(bytes(1 << 20), 9)
    bombs = [chunk(b"zTXt", b"key%d\0\0" % number + text) for number in range(100)]
    path = png(tmp_path / "a.png", (1, 1), 2, b"\0abc", *bombs)
    with pytest.raises(UserError, match="cannot be decoded"):
        pictures.read_image(path)
    assert not pictures.is_output(path)


def test_a_colour_profile_that_unpacks_to_gigabytes(tmp_path):
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 24), 9))
    path = png(tmp_path / "a.png", (1, 1), 2, b"\0abc", profile)
    with pytest.raises(UserError, match="cannot be decoded"):
        pictures.read_image(path)


def test_tiff_tags_that_share_their_data(tmp_path):
    """Each of 65,000 tags claims the same megabyte."""
    tags = [(40_000 + number // 3, 1, 1_000_000, 8) for number in range(65_000)]
    path = tiff(tmp_path / "a.tif", *tags)
    path.write_bytes(path.read_bytes() + bytes(1 << 20))
    code = """
        import sys
        from deeplab_lfov import UserError
        from deeplab_lfov.data.image_files import read_image
        try:
            print(read_image(sys.argv[1]).shape)
        except UserError as error:
            print(error)
    """
    printed = under_memory_limit(1.5, code, path)
    assert str(path) in printed or printed == "(1, 2, 3)\n"


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_the_first_of_several_pictures_counts(tmp_path, suffix):
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue", "lime")]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **LOSSLESS.get(suffix, {}))
    image = pictures.read_image(path)
    assert pictures.image_size(path) == image.shape[:2] == (4, 5)
    np.testing.assert_array_equal(image, np.full((4, 5, 3), [255, 0, 0]))


LOSSLESS = {".webp": {"lossless": True}}


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
