import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import decode_labels
from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import read_image
from deeplab_lfov.inference import visualize
from deeplab_lfov.voc import PALETTE


@pytest.mark.parametrize("shape", [(2, 3), (6, 1), (2, 3, 1), (6, 1, 1), (1, 2, 3, 1)])
def test_decode_labels_colors_masks(shape):
    labels = np.array([0, 1, 15, 20, 255, 7], np.uint8)
    colors = decode_labels(labels.reshape(shape))
    assert colors.shape == (*(shape[:-1] if len(shape) > 2 else shape), 3)
    np.testing.assert_array_equal(colors.reshape(-1, 3), PALETTE[labels])


def test_rows_show_picture_mask_and_prediction_of_any_size_and_name(tmp_path):
    images = [np.full((height, 40, 3), [90, 180, 30], np.uint8) for height in (60, 80)]
    labels, predictions = ([np.full((h, 40), n, np.uint8) for h in (60, 80)] for n in (1, 0))
    path, classes = tmp_path / "rows.png", Classes(("US$^$", "$"))
    visualize.save_rows(path, images, labels, predictions, classes, ["a", "$b$"])
    rows = read_image(path)
    assert len(rows) > 1000  # and no row is squeezed
    for color in ((90, 180, 30), PALETTE[0], PALETTE[1]):
        assert (rows == color).all(axis=-1).sum() > 10_000


def legend(side, names, labels=(0, 1)):
    """The rows below a square picture, RGB [H, W, 3]."""
    picture = Image.new("RGB", (side, side))
    return np.asarray(visualize.with_legend(picture, labels, Classes(tuple(names))))[side:]


def test_a_legend_lies_below_and_shows_the_colors():
    shown = legend(300, "abc", [0, 2, 255]).reshape(-1, 3).tolist()
    assert all(list(color) in shown for color in PALETTE[[0, 2, 255]])
    assert [128, 0, 0] not in shown


def test_a_legend_grows_with_the_picture():
    """Type of 14 pixels at 500 x 500, and with it the squares of its colors."""
    for side, size in ((100, 14), (500, 14), (1000, 28)):
        red = (legend(side, "ab") == (128, 0, 0)).all(axis=-1)
        assert red.any(axis=0).sum() == red.any(axis=1).sum() == size - 1  # within its outline


def test_a_legend_has_letters_of_other_alphabets():
    """Letters that a font lacks would all be the same box."""
    rows = [legend(500, [name, "b"]) for name in "\u0436\u03b1\u05d0"]
    assert len({row.tobytes() for row in rows}) == len(rows)


def test_an_overlay_is_the_picture_under_own_colors_but_for_the_background():
    image, labels = np.full((1, 3, 3), 100, np.uint8), np.array([[0, 1, 255]], np.uint8)
    classes = Classes(("background", "road"), ((9, 9, 9), (200, 0, 100)))
    pixels = visualize.overlay(image, labels, 0.5, classes)
    assert pixels[0].tolist() == [[100] * 3, [150, 50, 100], [162, 162, 146]]
    pixels = visualize.overlay(image, labels, 0.5, classes._replace(names=("sky", "road")))
    assert pixels[0, 0].tolist() == [54] * 3


def test_a_legend_has_no_letters_that_a_terminal_obeys():
    assert visualize._name(0, Classes(("a\x1b[2J",))) == "a?[2J"
