"""Pictures and annotations as people have them, made into data sets."""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.class_files import read_palette
from deeplab_lfov.data.image_files import read_mask, write_mask
from deeplab_lfov.data.list_files import read_list
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
        kind = [] if {"--masks", "--coco", "--labelme"} & {*flags} else ["--masks", "masks"]
        places = "--images", "images", *kind, "--output_dir", out
        return said("util.prepare_data", *places, *flags, status=status)

    return call


@pytest.fixture
def error_of(prepare):
    return functools.partial(prepare, status=2)


def labels(name, num_classes=21):
    return read_mask(Path(f"out/masks/{name}.png"), num_classes)[0].tolist()


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
        ([0, 40], ["--label_map", "0:0"], "says nothing of 40"),
        ([0, 40], ["--label_map", "0-0"], "is no pair"),
        ([0, 40], ["--label_map", "0:0,0:1"], "two labels"),
        ([0, 2], ["--class_names", "one.txt"], "--label_map"),
        ([0, 33, 255], [], "--label_map cityscapes"),
        ([0, 150, 255], [], "--label_map ade20k"),
        ([(1, 2, 3), (9, 9, 9)], [], "2 colours stand for labels"),
        ([(128, 0, 0), (0, 0, 0)], [], "--palette voc names them"),
        ([(1, 2, 3), (128, 0, 0)], ["--palette", "voc"], "(1, 2, 3)"),
        ([0], [], "there is one class alone"),
    ],
)
def test_values_and_colors_that_nobody_explained(error_of, mask, flags, words):
    written("one.txt", "one\n")
    add("a", mask)
    assert words in error_of(*flags)
    assert not Path("out").exists()


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


def test_what_is_in_the_way_stays(error_of):
    add("a", [0, 255])
    Path("out/masks").mkdir(parents=True)
    lists, flags = Path("out/train.txt"), ["--label_map", "0:0,255:1"]
    lists.write_text("mine")
    assert "was not made by this script" in error_of(*flags)
    lists.unlink()
    write_mask(Path("out/masks/a.png"), np.zeros((4, 6), np.uint8))  # a prediction
    assert "a.png exists" in error_of(*flags)
    assert [p.name for p in Path("out").rglob("*")] == ["masks", "a.png"]


def test_masks_of_other_labels_and_sizes_and_jpegs_are_faulty(error_of):
    add("a", [(128, 0, 0), PALETTE[21]])
    assert "no class is named for the label 21" in error_of("--palette", "voc")
    add("a", [0, 1])
    Image.new("RGB", (7, 4)).save("images/a.jpg")
    assert "1 of 1 pictures are faulty" in error_of()
    assert not Path("out/train.txt").exists()
    add("b", [0, 1], ending=".jpg")
    assert "JPEG, which is lossy" in error_of()


def region(segmentation, **more):
    return [{"image_id": 0, "category_id": 7, "segmentation": segmentation} | more]


DOG, SOFA = {"id": 7, "name": "dog"}, {"id": 3, "name": "sofa"}
ALL, PART = [[0, 0, 6, 0, 6, 4, 0, 4]], [[2, 0, 4, 0, 4, 4, 2, 4]]
CROWD = {"size": [4, 6], "counts": [0, 8, 16]}


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
    coco("two.json", ("b",), categories=[DOG | {"name": "cat"}], annotations=[])
    assert "the category 7 is 'cat'" in error_of(*files)
    coco("two.json", ("b",), categories=[DOG | {"id": 8}], annotations=[])
    assert "several categories" in error_of(*files)


def test_a_category_background_is_label_0(prepare, coco):
    annotations = region(ALL) + region(PART, category_id=9)
    coco(categories=[DOG, {"id": 9, "name": "background"}], annotations=annotations)
    prepare(*COCO)
    assert labels("a") == [1, 1, 0, 0, 1, 1]
    assert read_palette("out/classes.txt").names == ("background", "dog")


def test_coco_takes_names_in_another_order_and_more(prepare, error_of, coco):
    coco()
    flags = *COCO, "--class_names", written("names.txt", "rest\ndog\nsofa\nroad\n")
    assert "classes that never occur (1): road" in prepare(*flags)
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
    boxes = region([], id=5, bbox=[0, 0, 3, 3])
    coco(annotations=boxes + region([[0, 0, 1, 0, 1, 1]], id=5, image_id="0"))
    said = prepare(*COCO)
    assert "annotations without a region, not drawn (1): 5" in said
    assert "annotations of no image (1): 0" in said
    error = error_of(*COCO, coco("two.json", ("c", "b")))
    assert "1 pictures are those of several images" in error
    coco(images=[{"id": 0, "file_name": "a.jpg"}, {"id": 0, "file_name": "b.jpg"}])
    assert "the image 0 is there twice" in error_of(*COCO)


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


def labelme(name, *shapes, image_path=None, path=None, **more):
    add(name)
    shapes = [{"label": label, "shape_type": k, "points": p} for label, k, p in shapes]
    content = {"imagePath": image_path or f"{name}.jpg", "shapes": shapes, "imageData": None}
    path = Path(path or f"json/{name}.json")
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content | more))


def test_labelme_puts_later_over_earlier(prepare, error_of):
    left = ("dog", "rectangle", [[0, 0], [2, 3]])
    right = ("cat", "polygon", [[2, 0], [3, 0], [3, 3], [2, 3]])
    rest = ("__ignore__", "rectangle", [[5, 3], [4, 0]]), ("x", "line", [[0, 0], [1, 1]])
    rest += (("x", "polygon", [[0, 0], [1, 1]]),)
    labelme("a", left, right, *rest, image_path="..\\pictures\\a.jpg")
    ground = ("_background_", "rectangle", [[0, 0], [1, 3]])
    labelme("b", ("dog", "circle", [[3, 2], [9, 2]]), ground)
    said = prepare(*LABELME)
    assert labels("a") == [2, 2, 1, 1, 255, 255]
    assert labels("b") == [0, 0, 2, 2, 2, 2]
    assert "shapes of the kind line, not drawn: 1" in said
    assert "shapes of the kind polygon of under three points, not drawn: 1" in said
    assert read_palette("out/classes.txt").names == ("background", "cat", "dog")
    class_names = "--class_names", written("names.txt", "other\ndog\n")
    assert "does not name cat" in error_of(*class_names, *LABELME)


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
    assert "there is one class alone" in error_of(*LABELME)
    labelme("a", LEFT)
    labelme("a", RIGHT, path="json/b.json")
    assert "are of the same picture" in error_of(*LABELME)
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
