import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data.class_files import (
    balanced,
    classes_from,
    classes_in,
    read_class_file,
    read_class_weights,
    read_classes,
    read_palette,
)


@pytest.fixture
def write(tmp_path):
    def call(text, name="classes.txt"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return call


def test_a_palette_names_classes_and_colors(write):
    text = "# CamVid\nsky 128 128 128\r\n\ntraffic light: 192, 128, 0\nvoid 0 0 0\n"
    classes = read_palette(write(text))
    assert classes.names == ("sky", "traffic light")
    assert classes.colors == ((128, 128, 128), (192, 128, 0)) and classes.void_colors == ((0,) * 3,)
    assert read_palette("voc") is VOC


def test_a_palette_of_names_alone_has_no_colors(write):
    assert read_palette(write("# mine\nsky\ntraffic light 2\nvoid\n")) == (
        ("sky", "traffic light 2"),
        (),
        (),
    )


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
        ('{"0": "sky"}', "looks like JSON"),
        ("names:\n- sky\n", "looks like YAML"),
        ("sky,1,2,3,255\n", "line 1"),
        ("1 0.15 11664 1172 wall\n", "line 1"),
        ("1\n2.5\n", "line 1"),
        ("a.jpg a.png\nb.jpg b.png\n", "line 1"),
        ("sky,road,car\n", "line 1"),
        ("sky: [1, 2, 3]\n", "line 1"),
        ("0: sky\nroad\n", "line 2"),
        ("0: sky\n0: road\n", "has the value 0 twice"),
        ("0: sky\n2: road\n", "values such as 2, .* --class_names"),
    ],
)
def test_other_palettes_are_errors(write, text, message):
    with pytest.raises(UserError, match=message):
        read_palette(write(text))


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        ("id,name,r,g,b\n7,sea,1,2,3\n4,sky,4,5,6\n", ("sky", "sea"), {4: 0, 7: 1}),
        ("0: void\n1: sky\n255: ignored\n", ("sky",), {0: 255, 1: 0, 255: 255}),
        ('0,"sky, air"\n255,sea\n', ("sky, air", "sea"), {0: 0, 255: 1}),
        ("__ignore__\nsky\nsea 2\n", ("sky", "sea 2"), {}),
        ("sky:::\nbackground:::\n", ("background", "sky"), {}),
    ],
)
def test_values_of_a_file_of_classes(write, text, names, labels):
    classes, found = read_class_file(write(text))
    assert (classes.names, found) == (names, labels)
    assert read_class_file(write("sky:#01020a\n")).classes.colors == ((1, 2, 10),)


def test_class_names(write):
    path = write("sky\nroad \n\ntraffic light\n")
    assert read_classes(path) == Classes(("sky", "road", "traffic light"))
    with pytest.raises(UserError, match="3 classes, not 4"):
        read_classes(path, 4)
    with pytest.raises(UserError, match="'sky' twice"):
        read_classes(write("sky\nsky\n"))
    with pytest.raises(UserError, match="names 0 classes"):
        read_classes(write("\n"))


def test_names_alone_take_the_colors_of_as_many_classes(write):
    others = Classes(("a", "b"), ((1, 2, 3), (4, 5, 6)), ((7, 8, 9),))
    assert read_classes(write("sky\nroad\n"), 2, others) == others._replace(names=("sky", "road"))
    assert read_classes(write("sky\n"), 1, others) == Classes(("sky",))
    assert read_classes(write("sky 9 9 9\n"), 1, others).colors == ((9, 9, 9),)


def test_the_number_of_names_must_be_that_of_the_classes(write):
    known = read_palette(write("sky 1 2 3\nroad 4 5 6\n"))
    assert classes_from(None, known, 2) == classes_from(None, known, None) == known
    assert classes_from(None, VOC, 7).names == ()
    assert classes_from(write("a\nb\n", "names.txt"), known, 2).colors == known.colors
    with pytest.raises(UserError, match="names 2 classes, and the network has 3"):
        classes_from(None, known, 3)


def test_a_folder_has_its_own_classes_or_vocs(write, tmp_path):
    assert classes_in(tmp_path) == Classes()
    for name in ("JPEGImages", "SegmentationClass"):
        (tmp_path / name).mkdir()
    assert classes_in(tmp_path) is VOC
    write("cat\n", "class_names.txt")  # which could begin with label 1
    assert classes_in(tmp_path) is VOC
    write("cat:::\nbackground:::\n", "labelmap.txt")
    assert classes_in(tmp_path) == (("background", "cat"), VOC.colors[:2], ())
    write("cat:0,0,0::\n", "labelmap.txt")
    assert classes_in(tmp_path) == (("cat",), ((0, 0, 0),), ())
    write("sky\n")
    assert classes_in(tmp_path).names == ("sky",)
    assert classes_in(tmp_path, write("sea 1 2 3\n", "other.txt")).names == ("sea",)


def test_balanced_weights_are_inverse_to_the_pixels():
    counts = np.zeros(256, np.int64)
    assert balanced(counts, 2) == (0, 0)
    counts[[0, 2, 255]] = 90, 10, 1000
    assert balanced(counts, 3) == pytest.approx((100 / 180, 0, 100 / 20))
    assert balanced(counts, 3, 0.5) == pytest.approx(((100 / 180) ** 0.5, 0, 5**0.5))
    assert balanced(counts, 256)[255] == 0  # void weighs nothing


def test_a_file_has_a_weight_in_each_line(write):
    assert read_class_weights(write("1\n\n# cats\n2.5\n"), 2) == (1.0, 2.5)
    for text, message in (
        ("1\n", "1 weights, not 2"),
        ("1\nx", "could not convert"),
        ("1\n-1", "numbers from 0"),
        ("0\n0", "not all of them 0"),
        ("1\nnan", "numbers from 0"),
    ):
        with pytest.raises(UserError, match=message):
            read_class_weights(write(text), 2)


def test_a_list_that_is_typed_stands_for_a_file():
    assert read_class_weights("1,2.5", 2) == (1.0, 2.5)
    assert read_classes("cat, traffic light", 2).names == ("cat", "traffic light")
    with pytest.raises(UserError, match="cannot read folder/a,b"):
        read_classes("folder/a,b")
