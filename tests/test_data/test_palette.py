import numpy as np
import pytest
from deeplab_lfov.data.palette import VOC_PALETTE, classes_from, palette_of, read_palette

from deeplab_lfov import UserError
from deeplab_lfov.voc import PALETTE


def test_a_file_names_classes_and_colors(tmp_path):
    path = tmp_path / "palette.txt"
    path.write_text("# CamVid\nsky 128 128 128\r\n\ntraffic light: 192, 128, 0\nvoid 0 0 0\n")
    palette = read_palette(path)
    assert palette.class_names == ("sky", "traffic light")
    pixels = np.array([[[192, 128, 0], [0, 0, 0]], [[128, 128, 128], [0, 0, 0]]], np.uint8)
    np.testing.assert_array_equal(palette.labels_of(pixels), [[1, 255], [0, 255]])
    with pytest.raises(UserError, match=r"\(0, 0, 1\)"):
        palette.labels_of(pixels + np.array([0, 0, 1], np.uint8))


def test_the_voc_palette_has_all_labels():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(VOC_PALETTE.labels_of(VOC_PALETTE.colors[labels]), labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky 128 128", "line 1 .*'sky 128 128'"),
        ("sky 128 128 256", "line 1"),
        ("128 128 128", "line 1"),
        ("sky 1 2 3\nsky 4 5 6", "twice"),
        ("sky 1 2 3\nsea 1 2 3", "twice"),
        ("", "names 0 classes"),
        ("void 1 2 3", "names 0 classes"),
    ],
)
def test_other_files_are_errors(tmp_path, text, message):
    (tmp_path / "palette.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_palette(tmp_path / "palette.txt")


def test_the_number_of_names_must_be_that_of_the_classes(tmp_path):
    (tmp_path / "palette.txt").write_text("sky 1 2 3\nroad 4 5 6\n")
    palette = read_palette(tmp_path / "palette.txt")
    assert classes_from(None, palette, 2) == palette.classes
    assert classes_from(None, palette, None).names == ("sky", "road")
    assert classes_from(None, read_palette(None), 7).names == ()
    with pytest.raises(UserError, match="names 2 classes, and the network, .* has 3"):
        classes_from(None, palette, 3)


def test_names_alone_have_no_colors(tmp_path):
    (tmp_path / "classes.txt").write_text("# mine\nsky\ntraffic light 2\nvoid\n")
    palette = read_palette(tmp_path / "classes.txt")
    assert palette.class_names == ("sky", "traffic light 2") and not len(palette.colors)
    with pytest.raises(UserError, match=r"not in the palette: \(0, 0, 0\)"):
        palette.labels_of(np.zeros((1, 1, 3), np.uint8))


def test_classes_and_palettes_are_made_of_each_other(tmp_path):
    (tmp_path / "palette.txt").write_text("void 0 0 0\nsky 1 2 3\nroad 4 5 6\n")
    classes = read_palette(tmp_path / "palette.txt").classes
    assert classes == (("sky", "road"), ((1, 2, 3), (4, 5, 6)), ((0, 0, 0),))
    assert palette_of(classes).classes == classes
    assert classes.table[:3].tolist() == [[1, 2, 3], [4, 5, 6], PALETTE[2].tolist()]
    assert read_palette("voc") is VOC_PALETTE
