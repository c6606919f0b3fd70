import io
import struct

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import UserError
from deeplab_lfov.data import image_files as pictures
from deeplab_lfov.voc import PALETTE


def save(path, pixels, mode=None, **options):
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path, **options)
    return path


def png(path, bit_depth, rows):
    """A grey PNG of one byte a row with fewer than 8 bits a pixel, which Pillow cannot write."""
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 8 // bit_depth, len(rows), bit_depth, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes([row]) for row in rows))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


RGB = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [90, 90, 90]]], np.uint8)


def test_read_image_of_every_mode(tmp_path):
    alpha = [[[10, 20, 30, 255], [10, 20, 30, 0]]]
    for pixels, expected in (
        (RGB, RGB),
        ([[7, 9]], [[[7] * 3, [9] * 3]]),
        (alpha, [[[10, 20, 30], [255, 255, 255]]]),  # what is transparent shows white
    ):
        path = save(tmp_path / "a.png", pixels)
        np.testing.assert_array_equal(pictures.read_image(path), expected)
    pictures.write_mask(tmp_path / "b.png", np.array([[0, 15]], np.uint8))
    found = pictures.read_image(tmp_path / "b.png")
    np.testing.assert_array_equal(found, [[[0, 0, 0], [192, 128, 128]]])
    Image.fromarray(np.array([[0, 0x1234, 0xFFFF]], np.uint16)).save(tmp_path / "c.png")
    found = pictures.read_image(tmp_path / "c.png")
    np.testing.assert_array_equal(found[0, :, 0], [0, 0x12, 0xFF])  # the upper byte


def test_read_image_of_jpegs(tmp_path):
    path = save(tmp_path / "a.jpg", np.full((8, 8, 3), [200, 100, 50]), quality=95)
    assert np.abs(pictures.read_image(path).astype(int) - [200, 100, 50]).max() <= 3
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = pictures.read_image(path)[4, 4].astype(int)
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("orientation", [0, 1, 3, 8, 9, 65535])  # three do not exist: upright
def test_image_size_is_that_of_the_picture_read(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"a{suffix}"
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(path, **({} if suffix == ".bmp" else {"exif": exif}))
    size = pictures.read_image(path).shape[:2]
    assert pictures.image_size(path) == size
    assert size == ((30, 20) if orientation == 8 and suffix != ".bmp" else (20, 30))


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "floats"])
def test_read_image_refuses(tmp_path, damage):
    path = tmp_path / "a.jpg"
    if damage == "text":
        path.write_text("no picture")
    elif damage == "cut":
        whole = io.BytesIO()
        Image.effect_noise((64, 64), 90).save(whole, "JPEG")
        path.write_bytes(whole.getvalue()[:600])
    elif damage == "floats":
        path = tmp_path / "a.tif"
        Image.fromarray(np.zeros((2, 2), np.float32)).save(path)
    with pytest.raises(UserError, match=str(path)):
        pictures.read_image(path)


LABELS = np.array([[0, 1, 20], [255, 7, 7]], np.uint8)


@pytest.mark.parametrize("kind", ["grey", "palette", "rgb", "rgba", "sixteen", "grey alpha"])
def test_read_mask_gives_the_labels(tmp_path, kind):
    path = tmp_path / "a.png"
    if kind == "grey":
        save(path, LABELS)
    elif kind == "palette":
        pictures.write_mask(path, LABELS)
    elif kind == "sixteen":
        Image.fromarray(LABELS.astype(np.uint16)).save(path)
    elif kind == "grey alpha":
        save(path, np.stack([LABELS, LABELS * 0 + 255], axis=-1))
    else:
        Image.fromarray(PALETTE[LABELS]).convert(kind.upper()).save(path)
    np.testing.assert_array_equal(pictures.read_mask(path, num_classes=21), LABELS)


def test_read_mask_with_a_palette_that_is_not_vocs(tmp_path):
    picture = Image.fromarray(LABELS)
    picture.putpalette(bytes(range(255, -1, -1)) * 3)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "a.png", 21), LABELS)


@pytest.mark.parametrize(
    ("bit_depth", "byte", "labels"),
    [(1, 0b01100000, [0, 1, 1, 0, 0, 0, 0, 0]), (2, 0b00011011, [0, 1, 2, 3]), (4, 0x1C, [1, 12])],
)
def test_read_mask_of_few_bits(tmp_path, bit_depth, byte, labels):
    path = png(tmp_path / "a.png", bit_depth, [byte])
    np.testing.assert_array_equal(pictures.read_mask(path, 21), [labels])


def test_read_mask_turns_ignore_label_into_void(tmp_path):
    path = save(tmp_path / "a.png", [[0, 1, 2]])
    np.testing.assert_array_equal(pictures.read_mask(path, 3, ignore_label=0), [[255, 1, 2]])


def test_read_mask_names_labels_out_of_range(tmp_path):
    path = save(tmp_path / "a.png", [[0, 21, 255, 77]])
    with pytest.raises(UserError, match=rf"{path} .*\(0 to 20\).*21, 77"):
        pictures.read_mask(path, num_classes=21)
    Image.fromarray(np.array([[300]], np.uint16)).save(path)
    with pytest.raises(UserError, match="300"):
        pictures.read_mask(path, num_classes=21)


def test_read_mask_names_unknown_colors(tmp_path):
    path = save(tmp_path / "a.png", [[[128, 0, 0], [1, 2, 3]]])
    with pytest.raises(UserError, match=rf"{path} .*\(1, 2, 3\)"):
        pictures.read_mask(path, num_classes=21)


def test_write_mask_is_a_voc_palette_png(tmp_path):
    pictures.write_mask(tmp_path / "a.png", LABELS)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), LABELS)
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), PALETTE[LABELS])


def test_only_own_pngs_are_written_over(tmp_path):
    pictures.write_mask(tmp_path / "ours.png", LABELS)
    pictures.write_mask(tmp_path / "ours.png", LABELS[:1])
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "ours.png", 21), LABELS[:1])
    theirs = save(tmp_path / "theirs.png", LABELS).read_bytes()
    with pytest.raises(UserError, match="theirs.png exists"):
        pictures.write_mask(tmp_path / "theirs.png", LABELS)
    assert (tmp_path / "theirs.png").read_bytes() == theirs


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("read", [pictures.image_size, pictures.read_image])
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch, read):
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    read(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 49)
    with pytest.raises(UserError, match="a.png claims more than 98 pixels; cut"):
        read(tmp_path / "a.png")


def test_negative_labels_are_no_background(tmp_path):
    Image.fromarray(np.array([[0, -1, 3]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="labels from -1 to 3"):
        pictures.read_mask(tmp_path / "a.tif", 21)


def tiff(path, bits, white_is_zero, data):
    """A grey TIFF of one row with `bits` a pixel, which Pillow cannot write."""
    tags = {256: 8 * len(data) // bits, 257: 1, 258: bits, 259: 1, 262: 1 - white_is_zero, 273: 8}
    tags |= {277: 1, 278: 1, 279: len(data)}
    head = b"II*\0" + (8 + len(data)).to_bytes(4, "little") + data
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(head + struct.pack("<H", len(tags)) + rows + bytes(4))
    return path


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("a.pgm", b"P5 4 1 2\n\0\1\2\2", [0, 1, 2, 2]),
        ("a.pgm", b"P2 3 1 11\n0 5 11\n", [0, 5, 11]),
        ("a.pgm", b"P5 2 1 300\n\0\7\0\0", [7, 0]),
        ("a.pgm", b"P5 2 1 255\n\0\7", [0, 7]),
        ("a.tif", (2, False, b"\x1b\x1b"), [0, 1, 2, 3] * 2),
        ("a.tif", (4, False, b"\x1c\x05"), [1, 12, 0, 5]),
        ("a.tif", (8, False, b"\x01\x05"), [1, 5]),
        ("a.tif", (8, True, b"\x01\x05"), None),
        ("a.tif", (2, True, b"\x1b\x1b"), None),
        ("a.pgm", b"P1 2 1\n0 1\n", None),
    ],
)
def test_greys_are_labels_as_they_are_stored(tmp_path, name, content, labels):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else tiff(path, *content)
    if labels is None:
        with pytest.raises(UserError, match="stores white as 0"):
            pictures.read_mask(path, 21)
    else:
        assert pictures.read_mask(path, 21).tolist() == [labels]
