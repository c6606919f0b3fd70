import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.dataset_check import DatasetSummary, doubts
from deeplab_lfov.data.faint_pictures import faint
from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.inference import visualize
from deeplab_lfov.voc import PALETTE

SMALL = ["--width", 1 / 64, "--input_size", "9,9", "--batch_size", 1, "--num_steps", 1]
SMALL += ["--class_names", "names.txt"]


@pytest.fixture
def check(script, tmp_path):
    return lambda *flags: script("util.check_dataset", "list.txt", "--data_dir", tmp_path, *flags)


@pytest.fixture
def add(tmp_path):
    """Add a picture of 6 x 4 pixels with a mask to list.txt."""

    def call(name, labels, size=(6, 4)):
        Image.new("RGB", size).save(tmp_path / f"{name}.jpg")
        if labels is not None:
            write_mask(tmp_path / f"{name}.png", np.asarray(labels, np.uint8))
        with (tmp_path / "list.txt").open("a") as file:
            file.write(f"{name}.jpg {name}.png\n")

    return call


def labels(*values):
    return np.repeat(np.array(values, np.uint8), 24 // len(values)).reshape(4, 6)


def test_a_good_data_set(check, add):
    add("a", labels(0, 1, 1, 255))
    add("b", labels(0, 20))
    result = check()
    assert result.status == 0, result.err
    for words in (
        "2 pictures with masks, 4 pixels high and 6 wide",
        "3 of 21 classes occur, 12.5% of pixels are void",
        "background     37.50%",
        "aeroplane      25.00%",
        "bicycle         never",
        "void           12.50%",
    ):
        assert words in result.out


def test_every_fault_is_listed(check, add, tmp_path):
    add("good", labels(0, 1))
    add("range", labels(0, 99))
    add("size", np.zeros((3, 3)))
    add("missing", None)
    add("cut", labels(0))
    content = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    add("rgb", None)
    Image.new("RGB", (6, 4), (1, 2, 3)).save(tmp_path / "rgb.png")
    add("lossy", None)
    Image.new("L", (6, 4)).save(tmp_path / "lossy.png", "JPEG")
    result = check()
    assert result.status == 2 and "6 wide; 6 of them are faulty\n" in result.out
    faults = [line for line in result.out.splitlines() if line.startswith("fault: ")]
    found = ("99", "3 x 3", "no file", "cut.jpg cannot be decoded", "(1, 2, 3)", "a JPEG, which is")
    for words, fault in zip(found, faults, strict=True):
        assert words in fault
    assert "training would stop at 6 of 7 pictures; see the faults above\n" in result.err


def test_masks_that_look_wrong_are_noted(check, add, tmp_path):
    add("black", labels(0))
    add("void", labels(255))
    add("rgb", None)
    Image.fromarray(PALETTE[labels(0, 15)]).save(tmp_path / "rgb.png")
    result = check("--palette", "voc")
    assert result.status == 0
    assert f"1 masks that are all background (label 0): {tmp_path}/black.png" in result.out
    assert f"1 masks that are all void: {tmp_path}/void.png" in result.out
    assert f"1 RGB masks, looked up in the palette: {tmp_path}/rgb.png" in result.out


def test_pictures_in_two_lists(check, add, tmp_path):
    for name in "abc":
        add(name, labels(0, 1))
    (tmp_path / "val.txt").write_text("b.jpg b.png\n./a.jpg a.png\n")
    result = check("--against", "val.txt")
    assert f"2 pictures are in val.txt too: {tmp_path}/a.jpg, {tmp_path}/b.jpg" in result.out


def test_a_preview_has_the_crops_that_the_network_would_get(check, add, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = []
    monkeypatch.setattr(visualize, "save_rows", lambda *facts: drawn.append(facts))
    for name in "ab":
        add(name, labels(0, 1))
    flags = ["--input_size", 9, "--augment", "flip=1", "--no-random_scale", "--recipe", "finetune"]
    result = check("--preview", 3, *flags, "--rare_crops", 1, "--rare_classes", "aeroplane")
    assert result.status == 0 and "look at crops.png" in result.out, result.err
    assert "crops of 9 x 9 pixels are 2 x 2 cells" in result.err and "fill 30%" in result.err
    ((path, images, masks, predictions, classes, names),) = drawn
    assert path == "crops.png" and len(predictions) == 0 and classes.names[1] == "aeroplane"
    assert images.shape == (3, 9, 9, 3) and {*names} == {"a.jpg", "b.jpg"}
    for mask in masks:
        np.testing.assert_array_equal(np.unique(mask[:2]), [1, 255])  # upside down
        assert (mask == 255).sum() == 81 - 24
    assert "--rare_classes does nothing" in check("--preview", 3, "--rare_classes", "cat").err


def test_train_prints_the_short_form_and_stops_at_faults(script, add, tmp_path):
    add("a", labels(0, 1))
    small = ["--width", 1 / 16, "--input_size", "9,9", "--batch_size", 1, "--num_steps", 1]
    data = ["--data_dir", tmp_path, "--data_list", "list.txt"]
    result = script("train", *data, *small, "--snapshot_dir", tmp_path / "run")
    assert "data     1 pictures with masks, 4 pixels high" in result.out
    assert "data     2 of 21 classes occur, 0.0% of pixels are void" in result.out
    add("b", labels(0, 99))
    result = script("train", *data, *small, "--snapshot_dir", tmp_path / "run2")
    assert result.status == 2
    assert "1 of the 2 pictures of list.txt are faulty" in result.err and "b.png" in result.err
    assert not list((tmp_path / "run2").glob("model.ckpt*"))


def test_names_from_files_do_not_reach_the_terminal(check, add, tmp_path):
    add("a\x1b[2J", labels(0, 1))
    add("b\u202e", labels(0))
    add("c\x9b", labels(0, 99))
    (tmp_path / "names.txt").write_text("sky\x1b]0;title\x07\nroad\u202e\n")
    result = check("--class_names", tmp_path / "names.txt", "--against", "list.txt")
    assert result.status == 2
    assert all(line.isprintable() for line in result.out.splitlines())
    for words in ("sky?]0;title?", "road?  ", "a?[2J.jpg", "b?.png", "fault: ", "c?.png"):
        assert words in result.out


def test_what_is_no_file_is_a_fault(check, add, tmp_path):
    add("a", labels(0, 1))
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    with (tmp_path / "list.txt").open("a") as file:
        file.write("pipe.jpg a.png\na.jpg pipe.png\ncircle.jpg a.png\n")
    result = check("--against", "list.txt")
    assert result.status == 2 and result.out.count("pipe or a device") == 2
    assert result.out.count("fault: ") == 3


@pytest.fixture
def run(script, tmp_path, monkeypatch):
    """Write masks of 12 pixels with their pictures, and train or check on them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n")

    def call(name, *masks, flags=(), bits=None, again=0):
        lines = []
        for number, labels in enumerate(masks):
            mask = np.resize(np.asarray(labels, np.uint8), (3, 4, *np.shape(labels)[1:]))
            Image.fromarray(mask).save(tmp_path / f"m{number}.png")
            picture = np.full((3, 4), bits or 200, np.uint16 if bits else np.uint8)
            Image.fromarray(picture).save(tmp_path / f"p{number}.png")
            lines.append(f"p{number}.png m{number}.png\n")
        (tmp_path / "list.txt").write_text("".join(lines + lines[:again]))
        if name == "check":
            return script("util.check_dataset", "list.txt", "--class_names", "names.txt", *flags)
        return script("train", "--data_list", "list.txt", *SMALL, *flags)

    return call


@pytest.mark.parametrize("command", ["train", "check"])
def test_grey_masks_of_0_and_255_alone(run, tmp_path, command):
    result = run(command, [0, 255], [0, 0], [255])
    assert result.status == 2 and "--label_map 0:0,255:1" in result.err
    assert not (tmp_path / "snapshots/history.csv").exists()
    assert run(command, [0, 255], flags=["--ignore_label", 255]).status == 0
    assert run("check", [0, 255], [1, 255]).status == 0


@pytest.mark.parametrize("command", ["train", "check"])
def test_masks_that_are_void_everywhere(run, command):
    result = run(command, [255], [255], flags=["--ignore_label", 255])
    assert result.status == 2 and "every pixel of the masks of list.txt is void" in result.err


def test_doubts_are_told_once(run):
    result = run("train", [0, 1], [1], again=1, bits=4095)
    assert result.status == 0, result.err
    warnings = [line for line in result.err.splitlines() if line.lstrip().startswith("warning:")]
    assert len(warnings) == 5 and "are 2 x 2 cells" in warnings[3] and "padding" in warnings[4]
    assert "1 of 3 classes never occur: car" in warnings[0]
    assert "1 lines come more than once, 1 too many: p0.png" in warnings[1]
    assert "p0.png have 16 bits, " in warnings[2] and "by 16" in warnings[2]
    assert "warning" not in run("check", [0, 1, 2], bits=4096).err


def test_the_whole_of_a_list_is_sampled_for_dark_pictures(tmp_path):
    samples = [Sample(tmp_path / f"{number}.png", None) for number in range(39)]
    for number, sample in enumerate(samples):
        brightest = 100 if number < 20 else 60000
        Image.fromarray(np.full((3, 4), brightest, np.uint16)).save(sample.image)
    summary = DatasetSummary(("sky",), [])
    assert not doubts(summary, samples)
    assert "by 648" in doubts(summary, samples[:20])[0]


def test_rgb_masks_without_a_palette(run):
    result = run("train", [(9, 9, 9), (7, 8, 9)])
    assert result.status == 2 and "(7, 8, 9), (9, 9, 9)" in result.err
    assert "--palette FILE, or voc for VOC's" in result.err
    assert run("check", [(128, 0, 0), (0, 0, 0)], flags=["--palette", "voc"]).status == 0


def test_crops_larger_than_the_memory(run):
    result = run("train", [0, 1], flags=["--batch_size", 10**9])
    assert result.status == 2 and "more memory than this machine has" in result.err


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((3, 4, 4), 90), "fourth band"),
        (np.full((3, 4, 4), [90, 90, 90, 0]), "are transparent"),
        (np.full((3, 4), 3), "go up to 3 of 255, which is black; multiply their pixels by 64"),
        (np.full((3, 4, 3), 250), "white"),
        (np.full((3, 4, 3), [90, 90, 15]), None),
    ],
)
def test_pictures_that_come_out_black_or_white(tmp_path, pixels, words):
    path = tmp_path / "p.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    assert words in faint([path])[0] if words else not faint([path])


def test_16_bit_colors_that_are_dark(tmp_path):
    def chunk(kind, data):
        size, check = len(data).to_bytes(4, "big"), zlib.crc32(kind + data).to_bytes(4, "big")
        return size + kind + data + check

    head, row = struct.pack(">IIBBBBB", 4, 1, 16, 2, 0, 0, 0), b"\0" + b"\x03\xff" * 12
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert "go up to 1023 of 65535" in faint([tmp_path / "p.png"])[0]


def test_exif_turns_are_named(check, add, tmp_path):
    for name, orientation in (("half", 3), ("quarter", 6)):
        add(name, labels(0, 1))
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (6, 4), "gray").save(tmp_path / f"{name}.jpg", exif=exif)
    result = check()
    assert "4 x 6" in result.out and "EXIF turns the picture by a quarter" in result.out
    (tmp_path / "list.txt").write_text("half.jpg half.png\n")
    assert "1 pictures are turned by 180 degrees or mirrored" in check().err
