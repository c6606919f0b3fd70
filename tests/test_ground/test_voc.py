import pytest

from deeplab_lfov import voc


@pytest.mark.parametrize(
    ("label", "color"),
    [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (7, (128, 128, 128)),
        (15, (192, 128, 128)),
        (20, (0, 64, 128)),
        (255, (224, 224, 192)),
    ],
)
def test_palette_is_the_devkits(label, color):
    assert tuple(voc.PALETTE[label]) == color


def test_class_names_of_other_numbers_are_numbered():
    assert voc.class_names_of(21)[15] == "person"
    assert voc.class_names_of(2) == ("class 0", "class 1")
