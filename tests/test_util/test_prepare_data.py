"""Pictures and annotations as people have them, made into data sets."""

import base64
import functools
import io
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.class_files import read_palette
from deeplab_lfov.data.image_files import PREDICTED, is_output, read_mask, write_mask
from deeplab_lfov.data.list_files import read_list
from deeplab_lfov.files import locked
from deeplab_lfov.voc import PALETTE

COCO, LABELME = ("--coco", "coco.json"), ("--labelme", "json")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def add(name, mask=None, to="masks", suffix="", ending=".png", image_suffix=""):
    """Write a picture of 6 x 4 pixels, and its mask of values or colours in six columns."""
    write_picture(f"images/{name}{image_suffix}.jpg", Image.new("RGB", (6, 4), (90, 100, 110)))
    if mask is not None:
        row = np.asarray(mask, np.uint8)
        columns = np.resize(row, (6, *row.shape[1:]))
        pixels = np.broadcast_to(columns, (4, *columns.shape)).copy()
        write_picture(f"{to}/{name}{suffix}{ending}", Image.fromarray(pixels))


def write_picture(path, picture):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


@pytest.fixture
def prepare(said):
    def call(*flags, out="out", status=0):
        has_kind = {"--masks", "--class_masks", "--coco", "--labelme"} & {*flags}
        kind = [] if has_kind else ["--masks", "masks"]
        places = "--images", "images", *kind, "--output_dir", out
        return said("util.prepare_data", *places, *flags, status=status)

    return call


@pytest.fixture
def error_of(prepare):
    return functools.partial(prepare, status=2)


def labels(name, num_classes=21):
    (mask,) = Path("out").glob(f"masks*/{name}.png")  # a new folder every time, and the older gone
    return read_mask(mask, num_classes)[0].tolist()


def names(split):
    return [sample.name for sample in read_list(Path("out"), f"{split}.txt", masks=False)]


def written(name, text):
    Path(name).write_text(text)
    return name


def test_masks_of_labels_stay_where_they_are(prepare, tmp_path):
    for number in range(10):
        add(f"sub/ein Bild {number}", [0, 1, 2, 255])
    prepare("--val", 0.2, "--seed", 3)
    samples = [s for split in ("train", "val") for s in read_list(Path("out"), f"{split}.txt")]
    assert len(samples) == 10 and len(names("val")) == 2
    assert {s.mask.parent for s in samples} == {tmp_path / "masks/sub"}
    assert not Path("out/masks").exists()
    found = read_palette("out/classes.txt").names
    assert found == ("class 0", "class 1", "class 2")
    before = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    prepare("--val", 0.2, "--seed", 3)
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == before


def test_grey_0_and_255_stop_until_somebody_says_what_they_are(prepare, script):
    for name in "ab":
        add(name, [0, 255, 255])
    flags = "--images", "images", "--masks", "masks", "--output_dir", "out"
    result = script("util.prepare_data", *flags)
    assert result.status == 2 and "--label_map 0:0,255:1" in result.err
    assert "     255    66.67%       2" in result.out and not Path("out").exists()
    prepare("--label_map", "0:0,255:1")
    assert labels("a") == [0, 1, 1, 0, 1, 1]
    prepare("--label_map", "0:1,255:0")  # over its own masks
    assert labels("a") == [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("mask", "flags", "words"),
    [
        ([0, 3], [], "--label_map 0:0,3:1"),
        ([0, 3, 255], [], "--label_map 0:0,3:1,255:void"),
        ([0, 40], ["--label_map", "0:0"], "says nothing of the values 40"),
        ([0, 40], ["--label_map", "0-0"], "is not a value and its label"),
        ([0, 40], ["--label_map", "0:0,0:1"], "two labels"),
        ([0, 2], ["--class_names", "one.txt"], "--label_map"),
        ([0, 33, 255], [], "--label_map cityscapes"),
        ([0, 150, 255], [], "--label_map ade20k"),
        ([(1, 2, 3), (9, 9, 9)], [], "2 colours stand for labels"),
        ([(128, 0, 0), (0, 0, 0)], [], "--palette voc names them"),
        ([(1, 2, 3), (128, 0, 0)], ["--palette", "voc"], "(1, 2, 3)"),
        ([0], [], "there is only one class"),
        ([255], ["--class_names", "two.txt"], "is 255, which is void"),
        ([0, 0], ["--class_names", "two.txt"], "is a: no object is labelled"),
    ],
)
def test_values_and_colors_that_nobody_explained(error_of, mask, flags, words):
    written("one.txt", "one\n")
    written("two.txt", "a\nb\n")
    add("a", mask)
    assert words in error_of(*flags)
    assert not Path("out/train.txt").exists() and not [*Path("out").glob("masks*")]


def test_colors_become_labels(prepare):
    add("a", [(9, 9, 9), (200, 0, 100), (1, 1, 1)])
    add("grey", [(9, 9, 9)])
    prepare("--palette", written("p.txt", "sky 9 9 9\nroad 200 0 100\nvoid 1 1 1\n"))
    assert labels("a", 2) == [0, 1, 255] * 2 and labels("grey") == [0] * 6
    classes = read_palette("out/classes.txt")
    assert classes == (("sky", "road"), ((9, 9, 9), (200, 0, 100)), ((1, 1, 1),))
    preview = np.asarray(Image.open("out/preview.png"))
    assert (preview == (200, 0, 100)).all(axis=-1).sum() > 100  # in the legend


def test_palettes_that_number_their_colors_anew_are_no_labels(prepare, error_of):
    def paint(name, *colors):
        add(name, [0, 1])
        with Image.open(f"masks/{name}.png") as mask:
            mask.putpalette([length for color in colors for length in color])
            mask.save(f"masks/{name}.png")

    red, blue = (255, 0, 0), (0, 0, 255)
    paint("a", red, blue)
    paint("b", red, blue)
    prepare()
    palette = written("p.txt", "sky 0 0 255\nroad 255 0 0\n")
    assert "--label_map 0:1,1:0" in error_of("--palette", palette, out="other")
    paint("b", blue, red)
    assert "the palettes differ" in error_of(out="other")
    prepare("--label_map", "0:0,1:1", out="other")


def test_masks_of_another_folder_are_not_those_of_a_picture(prepare):
    add("ulm/1", [0, 1])
    add("bonn/2", [0, 1])
    Path("masks/bonn/2.png").rename("masks/ulm/2.png")
    assert "pictures without masks (1): bonn/2.jpg" in prepare()
    Path("masks/ulm").rename("masks/ulm_labels")
    assert "without" not in prepare()  # the folders are called otherwise


@pytest.mark.parametrize(("mode", "values"), [("1", [0, 255]), ("I;16", [0, 1000]), ("P", [0, 7])])
def test_masks_of_any_depth_are_mapped(prepare, mode, values):
    add("a", [0])
    mask = np.resize(values, (4, 6))
    picture = Image.fromarray(mask.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)
    write_picture("masks/a.png", picture.convert(mode))
    prepare(status=0 if mode == "1" else 2)  # which holds 0 and 1
    high = {"1": 1, "I;16": 1000, "P": 7}[mode]
    prepare("--label_map", f"0:1,{high}:0,255:0")
    assert labels("a") == [1, 0] * 3


def test_cityscapes_names_ids_and_folders(prepare):
    for split, city in (("train", "ulm"), ("val", "bonn"), ("test", "mainz")):
        place = f"{split}/{city}/{city}_1"
        for kind in ("labelIds", "color"):
            add(place, [7, 33, 4], suffix=f"_gtFine_{kind}", image_suffix="_leftImg8bit")
    Path("masks/test/mainz/mainz_1_gtFine_labelIds.png").unlink()
    suffixes = ["--image_suffix", "_leftImg8bit", "--mask_suffix", "_gtFine_labelIds"]
    assert "test.txt 1" in prepare(*suffixes, "--label_map", "cityscapes")
    assert [len(names(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert labels("train/ulm/ulm_1_leftImg8bit") == [0, 18, 255] * 2
    classes = read_palette("out/classes.txt")
    assert len(classes.names) == 19 and classes.names[18] == "bicycle"
    assert classes.colors[0] == (128, 64, 128)


def test_ade20k_counts_from_one(prepare):
    add("training/a", [0, 1, 150])
    add("validation/b", [1])
    prepare("--label_map", "ade20k")
    assert labels("training/a", 150) == [255, 0, 149] * 2 and names("val") == ["b"]


def test_masks_beside_their_pictures_and_files_alone(prepare, error_of):
    for name in ("a", "b"):
        add(name, [0, 1], to="images", suffix="_mask")
    add("lonely")
    Image.new("L", (6, 4)).save("images/gone_mask.png")
    said = prepare("--mask_suffix", "_mask", "--masks", "images")
    assert "pictures without masks (1): lonely.jpg" in said
    assert "masks without pictures (1): " in said and "gone_mask.png" in said
    assert "--mask_suffix" in error_of("--masks", "images")


def test_groups_stay_on_one_side(prepare, error_of):
    for patient in "abcd":
        for number in range(5):
            add(f"{patient}_{number}", [0, 1])
    prepare("--group", "^[a-z]", "--val", 0.25)
    val = names("val")
    assert len(val) == 5 and len({name[0] for name in val}) == 1
    assert "matches nothing" in error_of("--group", "x(.)", "--val", 0.25)
    assert "'[' is no regular expression" in error_of("--group", "[")


def test_a_folder_of_masks_among_the_pictures_is_not_taken_for_pictures(prepare, error_of):
    for name in ("a", "b"):
        add(name, [0, 1], to="images/masks")
    assert "without" not in prepare("--masks", "images/masks")
    assert "no folder" in error_of("--masks", "images/gone")
    assert "no .json files" in error_of("--labelme", "images")


def test_what_is_in_the_way_stays(prepare, error_of):
    add("a", [0, 255])
    Path("out/masks").mkdir(parents=True)
    lists, flags = Path("out/train.txt"), ["--label_map", "0:0,255:1"]
    lists.write_text("mine")
    assert "was not made by this script" in error_of(*flags)
    lists.unlink()
    write_mask(Path("out/masks/a.png"), np.zeros((4, 6), np.uint8))  # a prediction
    prepare(*flags)
    prepare(*flags)
    assert not read_mask(Path("out/masks/a.png"), 2).any()
    assert [p.name for p in Path("out").glob("masks-*/*")] == ["a.png"]


def test_masks_of_other_labels_and_sizes_and_jpegs_are_faulty(error_of):
    add("a", [(128, 0, 0), PALETTE[21]])
    assert "no class is named for the label 21" in error_of("--palette", "voc")
    add("a", [0, 1])
    Image.new("RGB", (7, 4)).save("images/a.jpg")
    assert "1 of 1 pictures are faulty" in error_of()
    assert not Path("out/train.txt").exists()
    add("b", [0, 1], ending=".jpg")
    assert "JPEG, which is lossy" in error_of()


GREY, RGB = [0, 1, 2], [(0, 0, 0), (9, 9, 9), (7, 8, 9)]


@pytest.mark.parametrize(
    ("name", "text", "mask"),
    [
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog", GREY),
        ("_classes.csv", "id, Class\n0, background\n2,dog\n1, cat", GREY),
        ("class_mapping.csv", "class_name,class_color\nbackground,0\ncat,9\ndog,255", [0, 9, 255]),
        ("class_names.txt", "background\ncat\ndog", GREY),
        ("classification.txt", "__background__\ncat\ndog", GREY),
        ("labelmap.txt", "cat:9,9,9::\nbackground:0,0,0::\ndog:7,8,9:x:y", RGB),
        ("label_colors.txt", "0 0 0 background\n9 9 9 cat\n7 8 9 dog", RGB),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,9,9,9\ndog,7,8,9", RGB),
        ("classes.txt", "0 background\n1 cat\n2 dog", [(0,) * 3, (1,) * 3, (2,) * 3]),
    ],
)
@pytest.mark.parametrize("place", ["masks", "."])
def test_tools_files_beside_masks_name_the_classes(prepare, name, text, mask, place):
    add("sub/a", mask)
    written(f"{place}/{name}", text)
    assert name in prepare()
    found = [each.strip("_") for each in read_palette("out/classes.txt").names]
    assert found == ["background", "cat", "dog"]
    (sample,) = read_list("out", "train.txt")
    assert read_mask(sample.mask, 3)[0].tolist() == [0, 1, 2] * 2


def test_splits_that_number_classes_anew_are_mapped_by_name(prepare, error_of):
    for split, order in (("train", "cat dog"), ("valid", "dog cat")):
        add(f"{split}/{split}", [0, 1, 2])
        rows = [f"{n}, {each}" for n, each in enumerate(["background", *order.split()])]
        written(f"masks/{split}/_classes.csv", "\n".join(rows))
    one, other = [0, 1, 2] * 2, [0, 2, 1] * 2
    prepare()
    assert (labels("train/train"), labels("valid/valid")) == (one, other)
    prepare("--class_names", written("names.txt", "background\ndog\ncat\n"))
    assert (labels("train/train"), labels("valid/valid")) == (other, one)
    Path("masks/valid/_classes.csv").unlink()
    assert "of some masks only, or differently" in error_of(out="other")


def test_train_ids_and_label_ids_are_told_apart_by_name(prepare, error_of):
    suffix = ["--mask_suffix", "_gtFine_labelTrainIds"]
    add("a", [0, 13, 255], suffix=suffix[1])
    assert "--label_map cityscapes_train_ids" in error_of(*suffix, "--label_map", "cityscapes")
    prepare(*suffix)
    assert read_palette("out/classes.txt").names[13] == "car" and not Path("out/masks").exists()
    add("a", [0, 1, 2], suffix="_gtFine_labelIds")
    error = error_of("--mask_suffix", "_gtFine_labelIds", out="other")
    assert "--label_map cityscapes, by the masks' names" in error


@pytest.mark.parametrize(
    ("mask", "advice", "becomes"),
    [
        ([0, 127, 255], "--label_map 0:0,127:1,255:2", [0, 1, 2]),
        ([0, 85, 255], "--label_map 0:0,85:1,255:void", [0, 1, 255]),
        ([0, 1, 3], "--class_names names.txt", [0, 1, 3]),
        ([0, 1, 3], "--label_map 0:0,1:1,3:2", [0, 1, 2]),
        ([0, 9, 255], "--label_map 0:0,9:1,255:2", [0, 1, 2]),
        ([0, 7, 33], "--label_map cityscapes", [255, 0, 18]),
    ],
)
def test_advice_that_is_followed_comes_out_right(prepare, error_of, mask, advice, becomes):
    add("a", mask)
    written("names.txt", "a\nb\nc\nd\n")
    assert advice.replace("names.txt", "FILE") in error_of()
    prepare(*advice.split())
    (sample,) = read_list("out", "train.txt")
    assert read_mask(sample.mask, 21)[0].tolist() == becomes * 2


def test_soft_masks_are_named_and_ranges_map_them(prepare, error_of):
    add("a", [0, 255])
    ramp = np.r_[[0] * 200, range(20, 240, 4), [255] * 200].astype(np.uint8)
    write_picture("masks/a.png", Image.fromarray(ramp[None]))
    write_picture("images/a.jpg", Image.new("RGB", (len(ramp), 1)))
    assert "or were JPEGs; --label_map 0-127:0,128-255:1" in error_of()
    prepare("--label_map", "0-127:0,128-255:1")
    assert labels("a") == (ramp > 127).astype(int).tolist()
    prepare("--label_map", "0:0,*:1")
    assert labels("a") == (ramp > 0).astype(int).tolist()
    assert "128-9:1" in error_of("--label_map", "128-9:1")


def test_class_names_are_the_way_around_a_file_of_another_form(prepare, error_of):
    add("a", [0, 1])
    written("masks/_classes.csv", "filename, cat, dog\n1.jpg, 1, 0\n")
    assert "_classes.csv is not of the form of a class" in error_of()
    prepare("--class_names", written("names.txt", "background\ncat\n"))


def test_names_that_unicode_holds_equal_pair(prepare):
    add("\u00e9", [0, 1], to="other")
    write_picture("masks/e\u0301.png", Image.open("other/\u00e9.png"))
    write_picture("masks/._a.png", Image.new("L", (1, 1)))
    assert "without" not in prepare()


def test_pictures_that_come_out_white_are_told(prepare):
    add("a", [0, 1])
    Path("images/a.jpg").unlink()
    write_picture("images/a.png", Image.new("RGBA", (6, 4), (9, 9, 9, 0)))
    assert "warning: pictures such as images/a.png are transparent" in prepare()


def region(segmentation, **more):
    return [{"image_id": 0, "category_id": 7, "segmentation": segmentation} | more]


DOG, SOFA = {"id": 7, "name": "dog"}, {"id": 3, "name": "sofa"}
ALL, PART = [[0, 0, 6, 0, 6, 4, 0, 4]], [[2, 0, 4, 0, 4, 4, 2, 4]]
CROWD = {"size": [4, 6], "counts": [0, 8, 16]}
RING = {"size": [4, 6], "counts": [0, 8, 8, 8]}  # of two parts
ROOT = {"id": 0, "name": "root", "supercategory": "none"}


@pytest.fixture
def coco():
    """Write instances of two pictures: a square on a larger one, and a crowd below both."""
    pytest.importorskip("pycocotools")

    def call(name="coco.json", pictures=("a", "b"), **changes):
        for picture in pictures:
            add(picture)
        annotations = region(PART) + region(ALL, category_id=3)
        annotations += region(PART, image_id=1)
        annotations += region(CROWD, image_id=1, category_id=3, iscrowd=1)
        images = [{"id": n, "file_name": f"{p}.jpg"} for n, p in enumerate(pictures)]
        content = {"images": images, "annotations": annotations, "categories": [DOG, SOFA]}
        return written(name, json.dumps(content | changes))

    return call


def test_coco_puts_small_over_large_and_crowds_below(prepare, coco):
    coco()
    prepare(*COCO)
    assert labels("a") == [1, 1, 2, 2, 1, 1]
    assert labels("b") == [255, 255, 2, 2, 0, 0]
    assert read_palette("out/classes.txt").names == ("background", "sofa", "dog")


def test_coco_files_are_train_and_val(prepare, error_of, coco):
    files = "--coco", coco("one.json", ("a", "b")), coco("two.json", ("c", "d", "gone"))
    Path("images/gone.jpg").unlink()
    assert "images without pictures (1): gone.jpg" in prepare(*files)
    assert names("val") == ["c", "d"]
    assert "leave them out" in error_of("--val", 0.5, *files)


def test_coco_numbers_the_categories_of_all_files_alike(prepare, error_of, coco):
    files = "--coco", coco("one.json", ("a",), categories=[DOG], annotations=region(ALL))
    files += (coco("two.json", ("b",), categories=[SOFA, DOG], annotations=region(ALL)),)
    prepare(*files)
    assert labels("a") == labels("b") == [2] * 6
    anew = [DOG | {"id": 3}, SOFA | {"id": 7}]  # the other way round
    coco("two.json", ("b",), categories=anew, annotations=region(ALL))
    prepare(*files)
    assert read_palette("out/classes.txt").names == ("background", "dog", "sofa")
    assert labels("a") == [1] * 6 and labels("b") == [2] * 6
    coco("two.json", ("b",), categories=[DOG, DOG | {"id": 8}], annotations=[])
    assert "several categories" in error_of(*files)


def test_a_category_background_is_label_0(prepare, coco):
    annotations = region(ALL) + region(PART, category_id=9)
    coco(categories=[DOG, {"id": 9, "name": "background"}], annotations=annotations)
    prepare(*COCO)
    assert labels("a") == [1, 1, 0, 0, 1, 1]
    assert read_palette("out/classes.txt").names == ("background", "dog")


@pytest.mark.parametrize(
    ("annotations", "found"),
    [
        (region(ALL[0]), [1] * 6),  # VIA's flat list
        (region(CROWD, iscrowd=1), [1, 1, 0, 0, 0, 0]),  # all are run lengths: datumaro
        (region(CROWD, iscrowd=1) + region([[0, 0, 1, 0, 1, 4, 0, 4]]), [1, 255, 0, 0, 0, 0]),
        (region(RING, iscrowd=1) + region(ALL, image_id=1) * 2, [1, 1, 0, 0, 1, 1]),  # supervision
        (region(RING, iscrowd=1) + region(ALL + PART, image_id=1) * 2, [255, 255, 0, 0, 255, 255]),
        (region([[0, 0, 3, 0, 0, 0]]), [255] * 3 + [0] * 3),  # no pixel's center is inside
        (region(ALL) + region([[1, 1, 3, 3]]), [1] * 6),  # its row below the line
        (region([[1, 0, 3, 4]], bbox=[0, 0, 4, 4]), [255] * 4 + [0] * 2),
        (region(None, bbox=[4, 0, 2, 4]) + region(ALL), [1] * 4 + [255] * 2),
    ],
)
def test_coco_as_tools_write_it(prepare, coco, annotations, found):
    more = region(PART, image_id=1) if len(annotations) < 3 else []
    crowds = [] if any(each.get("iscrowd") for each in annotations) else more
    coco(annotations=annotations + crowds, categories=[DOG | {"supercategory": "root"}, ROOT])
    said = prepare(*COCO)
    assert labels("a") == found
    assert "without annotations, left out (1): root" in said
    assert read_palette("out/classes.txt").names == ("background", "dog")


def test_crowds_are_what_the_user_says(prepare, coco):
    coco()
    assert "void unless --crowds class is given (1): sofa 1" in prepare(*COCO)
    prepare(*COCO, "--crowds", "class")
    assert labels("b") == [1, 1, 2, 2, 0, 0]


def test_lost_regions_and_panoptic_files_are_errors(prepare, error_of, coco):
    coco(annotations=region(ALL) + region([]) * 2)
    assert "lost (2): dog 2 (annotation None, annotation None), of 3" in error_of(*COCO)
    assert "regions without any extent, lost (2): dog 2" in prepare(*COCO, "--skip_lost")
    coco(annotations=[{"image_id": 0, "segments_info": []}])
    assert "COCO's panoptic format" in error_of(*COCO)
    coco(annotations=region([], bbox=[0, 0, 6, 4]))
    assert "no object is labelled" in error_of(*COCO)


def test_a_png_for_each_class(prepare, error_of):
    for name in ("a", "a_b"):
        add(name)
    add("x", [0, 255, 255], to="masks/cat")
    Path("images/x.jpg").unlink()
    Path("masks/cat/x.png").rename("masks/cat/a.png")
    for mask, place in (("dog_2", "masks/a_b"), ("a_b_cat", "masks"), ("a-gone 1", "masks")):
        add(mask, [0, 1] if mask == "dog_2" else [1, 1, 0], to=place)
        Path(f"images/{mask}.jpg").unlink()
    prepare("--class_masks", "masks")
    assert read_palette("out/classes.txt").names == ("background", "cat", "dog", "gone")
    assert labels("a_b") == [1, 2, 0, 2, 1, 2]
    add("a_b_cat", [1, 2, 0])
    Path("images/a_b_cat.jpg").unlink()
    assert "more than two values" in error_of("--class_masks", "masks")
    assert "is for --masks" in error_of("--class_masks", "masks", "--palette", "voc")


def test_coco_takes_names_in_another_order_and_more(prepare, error_of, coco):
    coco()
    flags = *COCO, "--class_names", written("names.txt", "rest\ndog\nsofa\nroad\n")
    assert "1 of 4 classes never occur: road" in prepare(*flags)
    assert labels("a") == [2, 2, 1, 1, 2, 2]
    written("names.txt", "dog\nsofa\n")
    assert "label 0 is what no annotation" in error_of(*flags)
    written("names.txt", "rest\ndog\n")
    assert "does not name sofa" in error_of(*flags)


def test_coco_of_pictures_of_another_size_is_faulty(prepare, error_of, coco):
    coco(images=[{"id": 0, "file_name": "a.jpg", "width": 12, "height": 8}])
    assert "4 x 6 pixels (height x width), and annotations for 8 x 12" in error_of(*COCO)
    unknown = dict(enumerate((0, -1, None, "", [])))
    images = [{"id": n, "file_name": f"{n}.jpg", "width": w} for n, w in unknown.items()]
    coco(pictures=unknown, images=[image | {"height": "4"} for image in images])
    prepare(*COCO)


def test_coco_names_that_repeat_are_those_of_the_split(prepare, error_of, coco):
    for split in ("train", "val"):
        add(f"{split}2017/a")
        coco(f"{split}.json", ("a",), annotations=region(ALL))
    Path("images/a.jpg").unlink()
    prepare("--coco", "train.json", "val.json")
    assert names("val") == ["a"] and Path("out/masks/val2017/a.png").exists()
    error = error_of("--coco", "train.json", out="other")
    assert "any of train2017/a.jpg, val2017/a.jpg" in error
    add("val2017/b")
    coco("train.json", ("a", "x/b"), annotations=[])
    Path("images/x/b.jpg").unlink()
    assert "images without pictures (1): x/b.jpg" in prepare("--coco", "train.json", "val.json")


def test_coco_says_what_it_leaves_out_and_what_is_there_twice(prepare, error_of, coco):
    boxes = region([], id=5, bbox=[0, 0, 3, 4])
    coco(annotations=boxes + region(PART, image_id="1") + region(PART, image_id=9))
    said = prepare(*COCO)
    assert "void inside their boxes (1): dog 1 (annotation 5)" in said
    assert "image ids of annotations that no image has (1): 9" in said
    assert labels("a") == [255] * 3 + [0] * 3 and labels("b") == [0, 0, 2, 2, 0, 0]
    prepare(*COCO, "--draw_boxes")
    assert labels("a") == [2] * 3 + [0] * 3
    error = error_of(*COCO, coco("two.json", ("c", "b")))
    assert "the same picture: images/b.jpg;" in error
    coco(images=[{"id": 0, "file_name": "a.jpg"}, {"id": 0, "file_name": "b.jpg"}])
    assert "several images with the id 0" in error_of(*COCO)
    coco(images=[], annotations=[])
    assert "no image of coco.json is in images" in error_of(*COCO)
    coco(annotations=region(PART, image_id=9))
    assert "no annotation of coco.json belongs to one of its images" in error_of(*COCO)


@pytest.mark.parametrize(
    "changes",
    [
        {"images": 3},
        {"images": [{}]},
        {"annotations": region([[0, 0, 1e9, 0, 1e9, 1e9]])},
        {"annotations": region([[0, 0, float("nan"), 0, 1, 1]])},
        {"annotations": region([[0, 0, 1]])},
        {"annotations": region({"size": [9999, 9999], "counts": [0]})},
        {"annotations": region({"size": [4, 6], "counts": [0, 10**12]})},
        {"annotations": region({"size": [4, 6], "counts": [-1, 25]})},
        {"annotations": region({"size": [4, 6], "counts": "o" * 999})},
        {"annotations": region([], category_id=99)},
        {"categories": [{"id": "x", "name": "y"}]},
    ],
)
def test_coco_that_is_damaged_is_one_line(error_of, coco, changes):
    coco(**changes)
    assert "coco.json" in error_of(*COCO)
    assert not Path("out/train.txt").exists()


def test_without_pycocotools_it_is_named(error_of, coco, monkeypatch):
    coco()
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert "pip install pycocotools" in error_of(*COCO)


def labelme(name, *shapes, image_path=None, path=None, masks=(), **more):
    add(name)
    keys, masks = ("label", "shape_type", "points"), iter(masks)
    shapes = [dict(zip(keys, shape, strict=True)) for shape in shapes]
    for shape in shapes:
        shape["mask"] = next(masks, None) if shape["shape_type"] == "mask" else None
    content = {"imagePath": image_path or f"{name}.jpg", "shapes": shapes, "imageData": None}
    path = Path(path or f"json/{name}.json")
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content | more))


def test_labelme_puts_later_over_earlier(prepare, error_of):
    left = ("dog", "rectangle", [[0, 0], [2, 3]])
    right = ("cat", "polygon", [[2, 0], [3, 0], [3, 3], [2, 3]])
    rest = ("__ignore__", "rectangle", [[5, 3], [4, 0]]), ("x", "cuboid", [[4, 2], [5, 3]])
    rest += (("x", "polygon", [[4, 0], [5, 1]]),)
    labelme("a", left, right, *rest, image_path="..\\pictures\\a.jpg")
    ground = ("_background_", "rectangle", [[0, 0], [1, 3]])
    labelme("b", ("dog", "circle", [[3, 2], [9, 2]]), ground)
    said = prepare(*LABELME)
    assert labels("a") == [2, 2, 1, 1, 255, 255]
    assert labels("b") == [0, 0, 2, 2, 2, 2]
    assert "void inside their boxes (2): x 2 (cuboid in json/a.json, polygon in" in said
    assert read_palette("out/classes.txt").names == ("background", "cat", "dog")
    class_names = "--class_names", written("names.txt", "other\ndog\n")
    assert "does not name cat" in error_of(*class_names, *LABELME)


def base64_png(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_labelme_masks_and_backgrounds(prepare, error_of):
    ring = base64_png(np.array([[1, 1, 0, 1]] * 4, np.uint8))
    labelme("a", ("cat", "mask", [[1.6, 0], [5, 3]]), masks=[ring])
    hole = [("__background__", "quadrilateral", [[3, 0], [4, 0], [4, 3], [3, 3]])]
    labelme("b", ("cat", "rectangle", [[1, 0], [5, 0], [5, 3], [1, 3]]), *hole)
    turned = "bg", "rotation", [[0, 0], [1, 0], [1, 3], [0, 3]]
    labelme("c", turned, ("cat", "mask", [[0, 0], [1, 3]]))
    assert "void inside their boxes (1): cat 1 (mask in json/c.json)" in prepare(*LABELME)
    assert labels("a") == [0, 0, 1, 1, 0, 1] and labels("b") == [0, 1, 1, 0, 0, 1]
    assert labels("c") == [255, 255, 0, 0, 0, 0]
    assert read_palette("out/classes.txt").names == ("background", "cat")
    labelme("a", ("cat", "mask", [[1, 0], [5, 3]]), masks=[ring[:60]])
    assert "cannot read a mask 'cat' of images/a.jpg" in error_of(*LABELME)
    labelme("a", *[("cat", "point", []), ("cat", "linestrip", [[1, 1]])])
    error = error_of(*LABELME)
    assert "lost (2): cat 2 (point in json/a.json, linestrip in json/a.json), of 6" in error


KINDS = {"rectangle": 2, "circle": 2, "line": 2, "linestrip": 5, "point": 1, "polygon": 6}


@pytest.mark.parametrize("seed", range(5))
def test_labelme_draws_the_same(prepare, seed):
    shapes_to_label = pytest.importorskip("labelme.utils").shapes_to_label
    random = np.random.default_rng(seed)
    kinds = random.permutation([*KINDS, "oriented_rectangle", "mask"])
    inside = random.integers(0, 2, (9, 14)).astype(np.uint8)
    points = {kind: random.uniform(-5, 60, (KINDS.get(kind, 4), 2)).tolist() for kind in kinds}
    points["mask"] = [[20, 30], [33, 38]]
    labelme("a", *[(kind, kind, points[kind]) for kind in kinds], masks=[base64_png(inside)])
    Image.new("RGB", (60, 50)).save("images/a.jpg")
    prepare(*LABELME)
    shapes = [{"label": k, "shape_type": k, "points": points[k]} for k in kinds]
    shapes = [each | {"mask": inside.astype(bool)} for each in shapes]
    numbers = {kind: label for label, kind in enumerate(sorted(kinds), 1)}
    expected, _ = shapes_to_label((50, 60), shapes, numbers)
    np.testing.assert_array_equal(read_mask(Path("out/masks/a.png"), 9), expected)


LEFT = "left", "rectangle", [[0, 0], [2, 3]]
RIGHT = "right", "rectangle", [[3, 0], [5, 3]]


@pytest.mark.parametrize("folder", ["images", "json"])
def test_labelme_finds_the_picture_that_its_path_says(prepare, folder):
    back = "" if folder == "images" else "../../images/b/"
    labelme("a/1", LEFT, path=f"{folder}/a/1.json", image_path="1.jpg")
    labelme("b/1", RIGHT, path=f"{folder}/b/1.json", image_path=f"{back}1.jpg")
    labelme("b/2", LEFT, path=f"{folder}/a/x.json", image_path="..\\..\\images\\b\\2.jpg")
    labelme("new", RIGHT, path=f"{folder}/new.json", image_path="old.jpg")
    prepare("--labelme", folder)
    assert labels("a/1") == labels("b/2") == [1, 1, 1, 0, 0, 0]
    assert labels("b/1") == labels("new") == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize("place", ["../b/1.jpg", "../1.jpg", "b/1.jpg"])
def test_labelme_draws_on_no_other_picture(prepare, place):
    labelme("c", RIGHT)
    labelme("a/1", LEFT, path="images/a/1.json", image_path=place)
    labelme("c", RIGHT, path="images/c.json")
    found = prepare("--labelme", "images")
    assert "JSON files without pictures (1): " in found and "a/1.json" in found
    assert not Path("out/masks/a").exists()


def test_labelme_files_in_a_folder_by_themselves(prepare, error_of):
    labelme("b/1", LEFT, path="json/flat.json", image_path="C:\\work\\b\\1.jpg")
    labelme("2", RIGHT, path="json/2.json", image_path="")
    add("a/3")
    labelme("c/3", LEFT, path="json/a/4.json", image_path="3.jpg")
    prepare(*LABELME)
    assert labels("b/1") == labels("a/3") == [1, 1, 1, 0, 0, 0]
    labelme("c/3", LEFT, path="json/5.json", image_path="3.jpg")
    assert "3.jpg in the annotations could be any of a/3.jpg" in error_of(*LABELME)


def test_labelme_contradictions_are_errors(prepare, error_of):
    labelme("a")
    assert "there is only one class" in error_of(*LABELME)
    labelme("a", LEFT)
    labelme("a", RIGHT, path="json/b.json")
    assert "are both for the picture images/a.jpg" in error_of(*LABELME)
    Path("json/b.json").unlink()
    labelme("a", LEFT, imageHeight=4, imageWidth=7)
    assert "annotations for 4 x 7" in error_of(*LABELME)
    labelme("a", LEFT, imageHeight=4, imageWidth=6)
    class_names = "--class_names", written("names.txt", "left\nright\n")
    assert "label 0 is what no annotation covers" in error_of(*class_names, *LABELME)
    prepare(*LABELME)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"shapes": 3}', '{"shapes": [{}]}', '{"shapes": [3]}']
    + ['{"shapes": [{"label": "a", "points": [[0, 0], [1e99, 0], [1, 1]]}]}']
    + ['{"shapes": [{"label": "a", "points": "abc"}]}']
    + ['{"shapes": [{"label": "a\\nb", "points": [[0, 0], [9, 0], [1, 1]]}]}'],
)
def test_labelme_that_is_damaged_is_one_line(error_of, text):
    labelme("a")
    written("json/a.json", text)
    assert error_of(*LABELME).count("\n") == 1
    assert not Path("out/train.txt").exists()


def test_predictions_with_void_become_a_second_round(prepare, error_of):
    add("a", [0, 15, 255])
    assert "--label_map" in error_of()
    prepare("--palette", "voc")
    assert len(read_palette("out/classes.txt").names) == 21
    two = written("names.txt", "sky 1 1 1\nroad 2 2 2\n")
    assert "--label_map" in error_of("--palette", two)  # 15 is no label
    prepare("--class_names", written("names.txt", "\n".join("abcdefghijklmnop")))


def out():
    return {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}


@pytest.fixture
def data_set(prepare):
    """Make a data set of grey masks; returns its files."""
    for name in "abc":
        add(name, [0, 255])
    prepare("--label_map", "0:0,255:1", "--val", 0.5)
    return out()


def test_faulty_masks_and_another_process_leave_the_older_data_set(error_of, data_set):
    Image.new("L", (7, 4)).save("masks/c.png")
    assert "1 of 3 pictures are faulty" in error_of("--label_map", "0:1,255:0")
    with locked(Path("out/.lock"), "", ""):
        assert "makes a data set in it; wait for" in error_of("--label_map", "0:0,255:1")
    assert out() == data_set and not list(Path("out").glob("masks-*"))


@pytest.mark.parametrize("number", range(1, 7))
def test_no_list_is_beside_classes_of_another_time(prepare, data_set, monkeypatch, number):
    renames, rename = itertools.count(1), Path.replace

    def replace(path, target):
        if next(renames) == number:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    prepare("--label_map", "0:2,255:1", status=130)
    if number < 4:  # masks
        assert out() == data_set
    else:  # classes.txt, val.txt, train.txt
        assert not Path("out/train.txt").exists()
        assert Path("out/val.txt").exists() == (number == 6)
        assert len(read_palette("out/classes.txt").names) == (2 if number == 4 else 3)


def test_a_prediction_is_copied_as_the_next_one_takes_its_place(prepare):
    add("a")
    add("b", [0, 1])
    write_mask(Path("masks/a.png"), np.ones((4, 6), np.uint8))
    prepare("--val", 0)
    write_mask(Path("masks/a.png"), np.zeros((4, 6), np.uint8))
    assert labels("a") == [1] * 6 and Path("out/train.txt").read_text().count(" /masks/") == 1
    assert is_output("out/masks/a.png", PREDICTED)  # evaluate.py asks whether it is the truth
    prepare("--val", 0)
    assert [path.name for path in Path("out").glob("masks*/*")] == ["a.png"]


def test_a_name_that_no_list_can_hold_comes_before_all_work(error_of):
    add("a\udcff", [0, 255])
    assert "is not UTF-8; rename it" in error_of("--label_map", "0:0,255:1")
    assert {p.name for p in Path("out").iterdir()} == {".lock"}


def test_what_is_there_twice_or_nowhere_is_told(prepare, error_of, coco):
    add("a", [0, 1])
    add("a", [0, 1], ending=".tif")
    assert "several masks have the same name with other endings: a" in error_of()
    assert "there is no folder gone" in error_of("--class_masks", "gone")
    assert "there is no folder gone" in error_of("--labelme", "gone")
    coco(pictures=("b", "c"), annotations=region(PART))
    said = prepare(*COCO)
    assert "images without regions, all background (1): c.jpg" in said
    assert "pictures without annotations (1): a.jpg" in said
