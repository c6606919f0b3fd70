"""Pictures and annotations as people have them, made into data sets."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.class_files import read_palette
from deeplab_lfov.data.image_files import read_mask, write_mask
from deeplab_lfov.data.list_files import read_list

GREYS = [0, 255]


@pytest.fixture
def add(tmp_path):
    """Write a picture of 6 x 4 pixels, and its mask of values or colours in six columns."""

    def call(name, mask=None, to="masks", suffix="", ending=".png", image_suffix=""):
        image = tmp_path / f"images/{name}{image_suffix}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (90, 100, 110)).save(image)
        if mask is not None:
            path = tmp_path / to / f"{name}{suffix}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = np.asarray(mask, np.uint8)
            columns = np.resize(row, (6, *row.shape[1:]))
            Image.fromarray(np.broadcast_to(columns, (4, *columns.shape)).copy()).save(path)

    return call


@pytest.fixture
def prepare(script, tmp_path):
    def call(*flags, kind=("--masks", "masks"), out="out"):
        kind = (kind[0], *(tmp_path / name for name in kind[1:]))
        places = ["--images", tmp_path / "images", *kind, "--output_dir", tmp_path / out]
        return script("util.prepare_data", *places, *flags)

    return call


def labels(tmp_path, name, num_classes=21):
    return read_mask(tmp_path / f"out/masks/{name}.png", num_classes)[0].tolist()


def names(tmp_path, split):
    return [sample.name for sample in read_list(tmp_path / "out", f"{split}.txt", masks=False)]


def test_masks_of_labels_stay_where_they_are(prepare, add, tmp_path):
    for number in range(10):
        add(f"sub/ein Bild {number}", [0, 1, 2, 255])
    result = prepare("--val", 0.2, "--seed", 3)
    assert result.status == 0, result.err
    samples = [s for split in ("train", "val") for s in read_list(tmp_path / "out", f"{split}.txt")]
    assert len(samples) == 10 and len(names(tmp_path, "val")) == 2
    assert {s.mask.parent for s in samples} == {tmp_path / "masks/sub"}
    assert not (tmp_path / "out/masks").exists()
    found = read_palette(tmp_path / "out/classes.txt").names
    assert found == ("class 0", "class 1", "class 2")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert prepare("--val", 0.2, "--seed", 3).status == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_grey_0_and_255_stop_until_somebody_says_what_they_are(prepare, add, tmp_path):
    for name in "ab":
        add(name, [0, 255, 255])
    result = prepare()
    assert result.status == 2 and "--label_map 0:0,255:1" in result.err
    assert "     255    66.67%       2" in result.out and not (tmp_path / "out").exists()
    assert prepare("--label_map", "0:0,255:1").status == 0
    assert labels(tmp_path, "a") == [0, 1, 1, 0, 1, 1]
    assert prepare("--label_map", "0:1,255:0").status == 0  # over its own masks
    assert labels(tmp_path, "a") == [1, 0, 0, 1, 0, 0]


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
    ],
)
def test_values_and_colors_that_nobody_explained(
    prepare, add, tmp_path, mask, flags, words, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("one\n")
    add("a", mask)
    result = prepare(*flags)
    assert result.status == 2 and words in result.err
    assert not (tmp_path / "out").exists()


def test_names_say_how_many_labels_there_are(prepare, add, tmp_path):
    add("a", [0, 3])
    add("b", [0])
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\ndog\n")
    result = prepare("--class_names", tmp_path / "names.txt")
    assert result.status == 0, result.err
    assert "classes that never occur (2): road, car" in result.out


def test_colors_become_labels(prepare, add, tmp_path):
    add("a", [(9, 9, 9), (200, 0, 100), (1, 1, 1)])
    add("grey", [(9, 9, 9)])
    (tmp_path / "p.txt").write_text("sky 9 9 9\nroad 200 0 100\nvoid 1 1 1\n")
    result = prepare("--palette", tmp_path / "p.txt")
    assert result.status == 0, result.err
    assert labels(tmp_path, "a", 2) == [0, 1, 255] * 2 and labels(tmp_path, "grey") == [0] * 6
    classes = read_palette(tmp_path / "out/classes.txt")
    assert classes == (("sky", "road"), ((9, 9, 9), (200, 0, 100)), ((1, 1, 1),))
    preview = np.asarray(Image.open(tmp_path / "out/preview.png"))
    assert (preview == (200, 0, 100)).all(axis=-1).sum() > 100  # in the legend


@pytest.fixture
def paint(add, tmp_path):
    """Write a picture and a palette file of the values 0 and 1 in these colours."""

    def call(name, *colors):
        add(name, [0, 1])
        with Image.open(tmp_path / f"masks/{name}.png") as mask:
            mask.putpalette([length for color in colors for length in color])
            mask.save(tmp_path / f"masks/{name}.png")

    return call


def test_palettes_that_number_their_colors_anew_are_no_labels(prepare, paint, tmp_path):
    red, blue = (255, 0, 0), (0, 0, 255)
    paint("a", red, blue)
    paint("b", red, blue)
    assert prepare().status == 0
    (tmp_path / "p.txt").write_text("sky 0 0 255\nroad 255 0 0\n")
    result = prepare("--palette", tmp_path / "p.txt", out="other")
    assert result.status == 2 and "--label_map 0:1,1:0" in result.err
    paint("b", blue, red)
    result = prepare(out="other")
    assert result.status == 2 and "the palettes differ" in result.err
    assert prepare("--label_map", "0:0,1:1", out="other").status == 0


def test_masks_of_another_folder_are_not_those_of_a_picture(prepare, add, tmp_path):
    add("ulm/1", [0, 1])
    add("bonn/2", [0, 1])
    (tmp_path / "masks/bonn/2.png").rename(tmp_path / "masks/ulm/2.png")
    result = prepare()
    assert result.status == 0 and "pictures without masks (1): bonn/2.jpg" in result.out
    (tmp_path / "masks/ulm").rename(tmp_path / "masks/ulm_labels")
    assert "without" not in prepare().out  # the folders are called otherwise


@pytest.mark.parametrize("kind", ["masks", "json"])
def test_one_class_alone_is_an_error(prepare, add, labelme, tmp_path, kind):
    add("a", [0])
    labelme("a")
    result = prepare(kind=("--masks" if kind == "masks" else "--labelme", kind))
    assert result.status == 2 and "there is one class alone" in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mode", "values"), [("1", [0, 255]), ("I;16", [0, 1000]), ("P", [0, 7])])
def test_masks_of_any_depth_are_mapped(prepare, add, tmp_path, mode, values):
    add("a", [0])
    mask = np.resize(values, (4, 6))
    picture = Image.fromarray(mask.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)
    picture.convert(mode).save(tmp_path / "masks/a.png")
    assert prepare().status == (0 if mode == "1" else 2)  # which holds 0 and 1
    written = {"1": 1, "I;16": 1000, "P": 7}[mode]
    result = prepare("--label_map", f"0:1,{written}:0,255:0")
    assert result.status == 0, result.err
    assert labels(tmp_path, "a") == [1, 0] * 3


def test_cityscapes_names_ids_and_folders(prepare, add, tmp_path):
    for split, city in (("train", "ulm"), ("val", "bonn"), ("test", "mainz")):
        place = f"{split}/{city}/{city}_1"
        for kind in ("labelIds", "color"):
            add(place, [7, 33, 4], suffix=f"_gtFine_{kind}", image_suffix="_leftImg8bit")
    (tmp_path / "masks/test/mainz/mainz_1_gtFine_labelIds.png").unlink()
    suffixes = ["--image_suffix", "_leftImg8bit", "--mask_suffix", "_gtFine_labelIds"]
    result = prepare(*suffixes, "--label_map", "cityscapes")
    assert result.status == 0, result.err
    for split in ("train", "val", "test"):
        assert len(names(tmp_path, split)) == 1
    assert "/leftImg" not in result.err and "test.txt 1" in result.out
    assert labels(tmp_path, "train/ulm/ulm_1_leftImg8bit") == [0, 18, 255] * 2
    classes = read_palette(tmp_path / "out/classes.txt")
    assert len(classes.names) == 19 and classes.names[18] == "bicycle"
    assert classes.colors[0] == (128, 64, 128)


def test_ade20k_counts_from_one(prepare, add, tmp_path):
    add("training/a", [0, 1, 150])
    add("validation/b", [1])
    assert prepare("--label_map", "ade20k").status == 0
    assert labels(tmp_path, "training/a", 150) == [255, 0, 149] * 2
    assert names(tmp_path, "val") == ["b"]


def test_masks_beside_their_pictures_and_files_alone(prepare, add, tmp_path):
    for name in ("a", "b"):
        add(name, [0, 1], to="images", suffix="_mask")
    add("lonely")
    Image.new("L", (6, 4)).save(tmp_path / "images/gone_mask.png")
    result = prepare("--mask_suffix", "_mask", kind=("--masks", "images"))
    assert result.status == 0, result.err
    assert "pictures without masks (1): lonely.jpg" in result.out
    assert "masks without pictures (1): " in result.out and "gone_mask.png" in result.out
    assert prepare(kind=("--masks", "images")).status == 2


def test_groups_stay_on_one_side(prepare, add, tmp_path):
    for patient in "abcd":
        for number in range(5):
            add(f"{patient}_{number}", [0, 1])
    assert prepare("--group", "^[a-z]", "--val", 0.25).status == 0
    val = names(tmp_path, "val")
    assert len(val) == 5 and len({name[0] for name in val}) == 1
    result = prepare("--group", "x(.)", "--val", 0.25)
    assert result.status == 2 and "matches nothing" in result.err
    result = prepare("--group", "[")
    assert result.status == 2 and "'[' is no regular expression" in result.err


def test_a_folder_of_masks_among_the_pictures_is_not_taken_for_pictures(prepare, add, tmp_path):
    for name in ("a", "b"):
        add(name, [0, 1], to="images/masks")
    result = prepare(kind=("--masks", "images/masks"))
    assert result.status == 0 and "without" not in result.out
    assert "no folder" in prepare(kind=("--masks", "images/gone")).err
    assert "no .json files" in prepare(kind=("--labelme", "images")).err


def test_what_is_in_the_way_stays(prepare, add, tmp_path):
    add("a", [0, 255])
    add("b", [0])
    (tmp_path / "out/masks").mkdir(parents=True)
    (tmp_path / "out/train.txt").write_text("mine")
    flags = ["--label_map", "0:0,255:1"]
    assert prepare(*flags).status == 2
    (tmp_path / "out/train.txt").unlink()
    write_mask(tmp_path / "out/masks/a.png", np.zeros((4, 6), np.uint8))  # a prediction
    result = prepare(*flags)
    assert result.status == 2 and "a.png exists" in result.err
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["masks", "a.png"]


def test_masks_of_other_sizes_and_jpegs_are_faulty(prepare, add, tmp_path):
    add("a", [0, 1])
    Image.new("RGB", (7, 4)).save(tmp_path / "images/a.jpg")
    result = prepare()
    assert result.status == 2 and "1 of 1 pictures are faulty" in result.err
    assert not (tmp_path / "out/train.txt").exists()
    add("b", [0, 1], ending=".jpg")
    assert "JPEG, which is lossy" in prepare().err


@pytest.fixture
def coco(tmp_path, add):
    """Write instances of two pictures: a square on a larger one, and a crowd below both."""
    pytest.importorskip("pycocotools")

    def call(name="coco.json", pictures=("a", "b"), **changes):
        for picture in pictures:
            add(picture)
        square = [[0, 0, 6, 0, 6, 4, 0, 4]], [[2, 0, 4, 0, 4, 4, 2, 4]]
        crowd = {"size": [4, 6], "counts": [0, 8, 16]}
        annotations = [
            {"image_id": 0, "category_id": 7, "segmentation": square[1], "iscrowd": 0},
            {"image_id": 0, "category_id": 3, "segmentation": square[0], "iscrowd": 0},
            {"image_id": 1, "category_id": 7, "segmentation": square[1], "iscrowd": 0},
            {"image_id": 1, "category_id": 3, "segmentation": crowd, "iscrowd": 1},
        ]
        images = [{"id": n, "file_name": f"{p}.jpg"} for n, p in enumerate(pictures)]
        categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "sofa"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / name).write_text(json.dumps(content | changes))

    return call


def test_coco_puts_small_over_large_and_crowds_below(prepare, coco, tmp_path):
    coco()
    result = prepare(kind=("--coco", "coco.json"))
    assert result.status == 0, result.err
    assert labels(tmp_path, "a") == [1, 1, 2, 2, 1, 1]
    assert labels(tmp_path, "b") == [255, 255, 2, 2, 0, 0]
    assert read_palette(tmp_path / "out/classes.txt").names == ("background", "sofa", "dog")


def test_coco_files_are_train_and_val(prepare, coco, tmp_path):
    coco("one.json", ("a", "b"))
    coco("two.json", ("c", "d", "gone"))
    (tmp_path / "images/gone.jpg").unlink()
    result = prepare(kind=("--coco", "one.json", "two.json"))
    assert result.status == 0 and "images without pictures (1): gone.jpg" in result.out
    assert names(tmp_path, "val") == ["c", "d"]
    assert prepare("--val", 0.5, kind=("--coco", "one.json", "two.json")).status == 2


def test_coco_numbers_the_categories_of_all_files_alike(prepare, coco, tmp_path):
    dog, sofa = {"id": 7, "name": "dog"}, {"id": 3, "name": "sofa"}
    square = [[0, 0, 6, 0, 6, 4, 0, 4]]
    coco("one.json", ("a",), categories=[dog], annotations=region(square))
    coco("two.json", ("b",), categories=[sofa, dog], annotations=region(square))
    result = prepare(kind=("--coco", "one.json", "two.json"))
    assert result.status == 0, result.err
    assert labels(tmp_path, "a") == labels(tmp_path, "b") == [2] * 6
    coco("two.json", ("b",), categories=[dog | {"name": "cat"}], annotations=[])
    result = prepare(kind=("--coco", "one.json", "two.json"))
    assert result.status == 2 and "the category 7 is 'cat'" in result.err
    coco("two.json", ("b",), categories=[dog | {"id": 8}], annotations=[])
    assert "several categories" in prepare(kind=("--coco", "one.json", "two.json")).err


def test_a_category_background_is_label_0(prepare, coco, tmp_path):
    names = [{"id": 7, "name": "dog"}, {"id": 9, "name": "background"}]
    more = [{"image_id": 0, "category_id": 9, "segmentation": [[2, 0, 4, 0, 4, 4, 2, 4]]}]
    coco(categories=names, annotations=region([[0, 0, 6, 0, 6, 4, 0, 4]]) + more)
    assert prepare(kind=("--coco", "coco.json")).status == 0
    assert labels(tmp_path, "a") == [1, 1, 0, 0, 1, 1]
    assert read_palette(tmp_path / "out/classes.txt").names == ("background", "dog")


def test_coco_takes_names_in_another_order(prepare, coco, tmp_path):
    coco()
    flags = "--class_names", tmp_path / "names.txt"
    (tmp_path / "names.txt").write_text("rest\ndog\nsofa\n")
    assert prepare(*flags, kind=("--coco", "coco.json")).status == 0
    assert labels(tmp_path, "a") == [2, 2, 1, 1, 2, 2]
    (tmp_path / "names.txt").write_text("dog\nsofa\n")
    assert "label 0 is what no annotation" in prepare(*flags, kind=("--coco", "coco.json")).err
    (tmp_path / "names.txt").write_text("rest\ndog\n")
    assert "does not name sofa" in prepare(*flags, kind=("--coco", "coco.json")).err


def test_coco_of_pictures_of_another_size_is_faulty(prepare, coco, tmp_path):
    coco(images=[{"id": 0, "file_name": "a.jpg", "width": 12, "height": 8}])
    result = prepare(kind=("--coco", "coco.json"))
    assert result.status == 2 and "6 x 4 pixels, and its annotations are for 12 x 8" in result.err
    for unknown in (0, -1, None, "", []):
        coco(images=[{"id": 0, "file_name": "a.jpg", "width": unknown, "height": "4"}])
        assert prepare(kind=("--coco", "coco.json")).status == 0


def test_coco_names_that_repeat_are_those_of_the_split(prepare, coco, add, tmp_path):
    for split in ("train", "val"):
        add(f"{split}2017/a")
        coco(f"{split}.json", ("a",), annotations=region([[0, 0, 6, 0, 6, 4, 0, 4]]))
    (tmp_path / "images/a.jpg").unlink()
    result = prepare(kind=("--coco", "train.json", "val.json"))
    assert result.status == 0, result.err
    assert names(tmp_path, "val") == ["a"] and (tmp_path / "out/masks/val2017/a.png").exists()
    result = prepare(kind=("--coco", "train.json"), out="other")
    assert result.status == 2 and "any of train2017/a.jpg, val2017/a.jpg" in result.err
    add("val2017/b")
    coco("train.json", ("a", "x/b"), annotations=[])
    (tmp_path / "images/x/b.jpg").unlink()
    result = prepare(kind=("--coco", "train.json", "val.json"))
    assert "images without pictures (1): x/b.jpg" in result.out


def test_coco_says_what_it_leaves_out_and_what_is_there_twice(prepare, coco, add, tmp_path):
    boxes = [{"id": 5, "image_id": 0, "category_id": 7, "segmentation": [], "bbox": [0, 0, 3, 3]}]
    coco(annotations=boxes + [{**boxes[0], "image_id": "0", "segmentation": [[0, 0, 1, 0, 1, 1]]}])
    result = prepare(kind=("--coco", "coco.json"))
    assert "annotations without a region, not drawn (1): 5" in result.out
    assert "annotations of no image (1): 0" in result.out
    coco("two.json", ("c", "b"))
    result = prepare(kind=("--coco", "coco.json", "two.json"))
    assert result.status == 2 and "1 pictures are those of several images" in result.err
    coco(images=[{"id": 0, "file_name": "a.jpg"}, {"id": 0, "file_name": "b.jpg"}])
    assert "the image 0 is there twice" in prepare(kind=("--coco", "coco.json")).err


def region(segmentation):
    return [{"image_id": 0, "category_id": 7, "segmentation": segmentation}]


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
        {"annotations": [{"image_id": 0, "category_id": 99, "segmentation": []}]},
        {"categories": [{"id": "x", "name": "y"}]},
    ],
)
def test_coco_that_is_damaged_is_one_line(prepare, coco, tmp_path, changes):
    coco(**changes)
    result = prepare(kind=("--coco", "coco.json"))
    assert result.status == 2 and "coco.json" in result.err.splitlines()[-1], result.err
    assert not (tmp_path / "out/train.txt").exists()


def test_without_pycocotools_it_is_named(prepare, coco, monkeypatch):
    coco()
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    result = prepare(kind=("--coco", "coco.json"))
    assert result.status == 2 and "pip install pycocotools" in result.err


@pytest.fixture
def labelme(tmp_path, add):
    def call(name, *shapes, image_path=None, path=None, **more):
        add(name)
        shapes = [{"label": label, "shape_type": k, "points": p} for label, k, p in shapes]
        content = {"imagePath": image_path or f"{name}.jpg", "shapes": shapes, "imageData": None}
        path = tmp_path / (path or f"json/{name}.json")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(json.dumps(content | more))

    return call


def test_labelme_puts_later_over_earlier(prepare, labelme, tmp_path):
    left = ("dog", "rectangle", [[0, 0], [2, 3]])
    right = ("cat", "polygon", [[2, 0], [3, 0], [3, 3], [2, 3]])
    rest = ("__ignore__", "rectangle", [[5, 3], [4, 0]]), ("x", "line", [[0, 0], [1, 1]])
    rest += (("x", "polygon", [[0, 0], [1, 1]]),)
    labelme("a", left, right, *rest, image_path="..\\pictures\\a.jpg")
    labelme(
        "b", ("dog", "circle", [[3, 2], [9, 2]]), ("_background_", "rectangle", [[0, 0], [1, 3]])
    )
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 0, result.err
    assert labels(tmp_path, "a") == [2, 2, 1, 1, 255, 255]
    assert labels(tmp_path, "b") == [0, 0, 2, 2, 2, 2]
    assert "shapes of the kind line, not drawn: 1" in result.out
    assert "shapes of the kind polygon of under three points, not drawn: 1" in result.out
    assert read_palette(tmp_path / "out/classes.txt").names == ("background", "cat", "dog")
    (tmp_path / "names.txt").write_text("other\ndog\n")
    result = prepare("--class_names", tmp_path / "names.txt", kind=("--labelme", "json"))
    assert result.status == 2 and "does not name cat" in result.err


LEFT = "left", "rectangle", [[0, 0], [2, 3]]
RIGHT = "right", "rectangle", [[3, 0], [5, 3]]


@pytest.mark.parametrize("folder", ["images", "json"])
def test_labelme_finds_the_picture_that_its_path_says(prepare, labelme, tmp_path, folder):
    back = "" if folder == "images" else "../../images/b/"
    labelme("a/1", LEFT, path=f"{folder}/a/1.json", image_path="1.jpg")
    labelme("b/1", RIGHT, path=f"{folder}/b/1.json", image_path=f"{back}1.jpg")
    labelme("b/2", LEFT, path=f"{folder}/a/x.json", image_path="..\\..\\images\\b\\2.jpg")
    labelme("new", RIGHT, path=f"{folder}/new.json", image_path="old.jpg")
    assert prepare(kind=("--labelme", folder)).status == 0
    assert labels(tmp_path, "a/1") == labels(tmp_path, "b/2") == [1, 1, 1, 0, 0, 0]
    assert labels(tmp_path, "b/1") == labels(tmp_path, "new") == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize("said", ["../b/1.jpg", "../1.jpg", "b/1.jpg"])
def test_labelme_draws_on_no_other_picture(prepare, labelme, tmp_path, said):
    labelme("c", RIGHT)
    labelme("a/1", LEFT, path="images/a/1.json", image_path=said)
    labelme("c", RIGHT, path="images/c.json")
    result = prepare(kind=("--labelme", "images"))
    assert result.status == 0 and "JSON files without pictures (1): " in result.out
    assert "a/1.json" in result.out and not (tmp_path / "out/masks/a").exists()


def test_labelme_files_in_a_folder_by_themselves(prepare, labelme, add, tmp_path):
    labelme("b/1", LEFT, path="json/flat.json", image_path="C:\\work\\b\\1.jpg")
    labelme("2", RIGHT, path="json/2.json", image_path="")
    add("a/3")
    labelme("c/3", LEFT, path="json/a/4.json", image_path="3.jpg")
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 0 and labels(tmp_path, "b/1") == [1, 1, 1, 0, 0, 0]
    assert labels(tmp_path, "a/3") == [1, 1, 1, 0, 0, 0]
    labelme("c/3", LEFT, path="json/5.json", image_path="3.jpg")
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 2 and "3.jpg in the annotations could be any of a/3.jpg" in result.err


def test_labelme_contradictions_are_errors(prepare, labelme, tmp_path):
    labelme("a", LEFT)
    labelme("a", RIGHT, path="json/b.json")
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 2 and "are of the same picture" in result.err
    (tmp_path / "json/b.json").unlink()
    labelme("a", LEFT, imageHeight=4, imageWidth=7)
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 2 and "its annotations are for 7 x 4" in result.err
    labelme("a", LEFT, imageHeight=4, imageWidth=6)
    (tmp_path / "names.txt").write_text("left\nright\n")
    result = prepare("--class_names", tmp_path / "names.txt", kind=("--labelme", "json"))
    assert result.status == 2 and "label 0 is what no annotation covers" in result.err
    assert prepare(kind=("--labelme", "json")).status == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"shapes": 3}', '{"shapes": [{}]}', '{"shapes": [3]}']
    + ['{"shapes": [{"label": "a", "points": [[0, 0], [1e99, 0], [1, 1]]}]}']
    + ['{"shapes": [{"label": "a", "points": "abc"}]}']
    + ['{"shapes": [{"label": "a\\nb", "points": [[0, 0], [9, 0], [1, 1]]}]}'],
)
def test_labelme_that_is_damaged_is_one_line(prepare, labelme, tmp_path, text):
    labelme("a")
    (tmp_path / "json/a.json").write_text(text)
    result = prepare(kind=("--labelme", "json"))
    assert result.status == 2 and "error: " in result.err.splitlines()[-1], result.err
    assert not (tmp_path / "out/train.txt").exists()


def test_predictions_with_void_become_a_second_round(prepare, add, tmp_path):
    add("a", [0, 15, 255])
    (tmp_path / "names.txt").write_text("sky 1 1 1\nroad 2 2 2\n")
    assert "--label_map" in prepare().err
    result = prepare("--palette", "voc")
    assert result.status == 0, result.err
    assert len(read_palette(tmp_path / "out/classes.txt").names) == 21
    assert "--label_map" in prepare("--palette", tmp_path / "names.txt").err  # 15 is no label
