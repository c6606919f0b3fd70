"""Lists of files that can all be read and make no sense together."""

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.data.dataset_check import DatasetSummary
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.data.sense import doubts

SMALL = ["--width", 1 / 64, "--input_size", "9,9", "--batch_size", 1, "--num_steps", 1]
SMALL += ["--class_names", "names.txt"]


@pytest.fixture
def run(script, tmp_path, monkeypatch):
    """Write masks of 12 pixels with their pictures, and train or check on them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n")

    def call(name, *masks, flags=(), bits=None, again=0, save="png"):
        lines = []
        for number, labels in enumerate(masks):
            mask = np.resize(np.asarray(labels, np.uint8), (3, 4, *np.shape(labels)[1:]))
            Image.fromarray(mask).save(tmp_path / f"m{number}.{save}")
            picture = np.full((3, 4), bits or 200, np.uint16 if bits else np.uint8)
            Image.fromarray(picture).save(tmp_path / f"p{number}.png")
            lines.append(f"p{number}.png m{number}.{save}\n")
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
    elsewhere = [] if command == "check" else ["--snapshot_dir", tmp_path / "other"]
    assert run(command, [0, 255], [1, 255], flags=elsewhere).status == 0


@pytest.mark.parametrize("command", ["train", "check"])
def test_masks_that_are_void_everywhere(run, command):
    result = run(command, [255], [255], flags=["--ignore_label", 255])
    assert result.status == 2 and "every pixel of the masks of list.txt is void" in result.err


def test_doubts_are_told_once(run):
    result = run("train", [0, 1], [1], again=1, bits=4095)
    assert result.status == 0, result.err
    warnings = [line for line in result.err.splitlines() if line.lstrip().startswith("warning:")]
    assert len(warnings) == 3
    assert "1 of 3 classes never occur: car" in warnings[0]
    assert "1 lines come more than once, 1 too many: p0.png" in warnings[1]
    assert "p0.png go up to 4095 of 65535" in warnings[2] and "by 16" in warnings[2]
    assert "warning" not in run("check", [0, 1, 2], bits=4096).err


def test_the_whole_of_a_list_is_sampled_for_dark_pictures(tmp_path):
    samples = [Sample(tmp_path / f"{number}.png", None) for number in range(39)]
    for number, sample in enumerate(samples):
        brightest = 100 if number < 20 else 60000
        Image.fromarray(np.full((3, 4), brightest, np.uint16)).save(sample.image)
    summary = DatasetSummary(("sky",), [])
    assert not doubts(summary, samples)
    assert "by 648" in doubts(summary, samples[:20])[0]


def test_black_pictures_have_no_factor(tmp_path):
    Image.fromarray(np.zeros((3, 4), np.uint16)).save(tmp_path / "a.png")
    (doubt,) = doubts(DatasetSummary(("sky",), []), [Sample(tmp_path / "a.png", None)])
    assert "a.png are black" in doubt and "multiply" not in doubt


def test_rgb_masks_without_a_palette(run):
    result = run("train", [(9, 9, 9), (7, 8, 9)])
    assert result.status == 2 and "(7, 8, 9), (9, 9, 9)" in result.err
    assert "--palette FILE" in result.err and "--palette voc" not in result.err
    result = run("check", [(128, 0, 0), (224, 224, 192)])
    assert "1 pictures with masks, of unknown sizes" not in result.out
    assert result.status == 2 and "all of them are VOC's, --palette voc" in result.out
    assert run("train", [(128, 0, 0), (0, 0, 0)], flags=["--palette", "voc"]).status == 0


def test_masks_that_cannot_be_read_are_faults_and_no_class(run, tmp_path):
    result = run("check", [0, 1], [0, 99])
    assert "2 pictures with masks" in result.out and "1 of them are faulty\n" in result.out
    assert result.out.index("fault: ") < result.out.index("sky ")
    result = run("check", [99], save="bmp")
    assert "1 of them are faulty" in result.out and "never" not in result.out


def test_jpeg_masks_are_refused(run):
    result = run("check", [0, 1], save="jpg")
    assert result.status == 2 and "is a JPEG, which is lossy" in result.out


def test_crops_larger_than_the_memory(run):
    result = run("train", [0, 1], flags=["--batch_size", 10**9])
    assert result.status == 2 and "GB of crops alone" in result.err


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--momentum", 0.9], "--momentum does nothing without --optimizer sgd"),
        (["--recipe", "step", "--power", 0.9], "--power does nothing without --lr_policy poly"),
        (["--recipe", "poly", "--gamma", 0.1], "--gamma"),
        (["--recipe", "poly", "--step_size", 5], "--step_size"),
        (["--no-random_scale", "--scale_range", "0.5,1"], "--scale_range"),
        (["--val_every", 5], "--val_every does nothing without --val_list"),
        (["--not_restore_last"], "--not_restore_last does nothing without --restore_from"),
    ],
)
def test_flags_that_do_nothing_beside_the_others(run, flags, word):
    result = run("train", [0, 1], flags=flags)
    assert result.status == 2 and word in result.err
