import numpy as np
import pytest

from deeplab_lfov import UserError, voc
from deeplab_lfov.classes import VOC, Classes, packed, unpacked, voc_classes

ROADS = Classes(("sky", "road"), ((1, 2, 3), (4, 5, 6)), ((0, 0, 0), (9, 9, 9)))


def test_vocs_palette_is_the_devkits():
    devkit = {0: (0, 0, 0), 1: (128, 0, 0), 7: (128, 128, 128), 15: (192, 128, 128)}
    for label, color in (devkit | {20: (0, 64, 128), 255: (224, 224, 192)}).items():
        assert tuple(voc.PALETTE[label]) == color and VOC.labels_by_color[color] == label


def test_vocs_classes_are_those_of_21():
    assert voc_classes(21).names[15] == "person" and voc_classes(21).are_named
    assert voc_classes(2) == Classes(("class 0", "class 1")) and not voc_classes(2).are_named


def test_colors_stand_for_labels():
    pixels = np.array([[[4, 5, 6], [0, 0, 0]], [[1, 2, 3], [9, 9, 9]]], np.uint8)
    np.testing.assert_array_equal(ROADS.labels_of(pixels), [[1, 255], [0, 255]])
    with pytest.raises(UserError, match=r"not in the palette: \(1, 2, 3\), \(4, 5, 6\)"):
        ROADS._replace(colors=()).labels_of(pixels)
    with pytest.raises(UserError, match=r"not in the palette: \(0, 0, 0\), .* \(9, 9, 9\)"):
        Classes(("sky",)).labels_of(pixels)


def test_vocs_colors_stand_for_all_labels():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(VOC.labels_of(voc.PALETTE[labels]), labels)


def test_what_has_no_color_is_drawn_in_vocs():
    assert ROADS.table[:3].tolist() == [[1, 2, 3], [4, 5, 6], voc.PALETTE[2].tolist()]
    assert ROADS.table[255].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(Classes(("a",)).table, voc.PALETTE)


def test_other_names_at_a_label_are_an_error():
    ROADS.check_same(Classes(ROADS.names), "here", "there")
    with pytest.raises(UserError, match="label 1 is 'road' in here and no class in there"):
        ROADS.check_same(Classes(("sky",)), "here", "there")


def test_colors_as_integers_and_back():
    colors = [(0, 0, 255), (1, 2, 3), (255, 255, 254)]
    assert unpacked(packed(np.array(colors, np.uint8))) == colors
