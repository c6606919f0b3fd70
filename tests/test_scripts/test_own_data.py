"""Data sets that are not VOC, from the list to the legend."""

import json

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import load_model
from deeplab_lfov.data.image_files import DATA_SET, write_mask

SMALL = ["--width", 1 / 16, "--input_size", "17,17", "--batch_size", 2, "--num_steps", 1]


@pytest.fixture
def run(script, tmp_path):
    """Train a step, evaluate, and segment a picture; returns evaluate's numbers."""

    def call(lines, *flags, evaluate=()):
        image = tmp_path / lines[0].partition(" masks/")[0]
        (tmp_path / "list.txt").write_bytes("\r\n".join(lines).encode())
        data = ["--data_dir", tmp_path, "--data_list", "list.txt"]
        result = script("train", *data, *SMALL, "--snapshot_dir", tmp_path / "run", *flags)
        assert result.status == 0, result.err
        numbers = ["--json", tmp_path / "numbers.json", *evaluate]
        result = script("evaluate", *data, "--restore_from", tmp_path / "run", *numbers)
        assert result.status == 0, result.err
        result = script("inference", image, tmp_path / "run", "--save_dir", tmp_path / "o")
        assert result.status == 0, result.err
        return json.loads((tmp_path / "numbers.json").read_text()), result.out

    return call


@pytest.fixture
def add(tmp_path):
    def call(name, labels, suffix=".png"):
        image = Image.effect_noise((20, 18), 80).convert("RGB")
        image.save(tmp_path / f"{name}{suffix}")
        (tmp_path / "masks").mkdir(exist_ok=True)
        write_mask(
            tmp_path / f"masks/{name}.png",
            np.resize(np.asarray(labels, np.uint8), (18, 20)),
            DATA_SET,
        )
        return f"{name}{suffix} masks/{name}.png"

    return call


def test_names_and_number_of_classes_travel_with_the_checkpoint(run, add, tmp_path):
    (tmp_path / "names.txt").write_text("sky\nroad\nStraße\n")
    lines = [add("ein schönes Bild", [0, 1, 2], ".tiff"), add("b", [1])]
    numbers, out = run(lines, "--class_names", tmp_path / "names.txt")
    assert list(numbers["iou"]) == ["sky", "road", "Straße"]
    assert load_model(tmp_path / "run")[0].num_classes == 3
    assert any(f"{name} " in out for name in numbers["iou"])


def test_masks_in_which_0_is_void(run, add, tmp_path):
    flags = ["--ignore_label", 0]
    numbers, _ = run(
        [add("a", [0, 1]), add("b", [0, 2])], *flags, "--num_classes", 3, evaluate=flags
    )
    assert numbers["iou"]["class 0"] in (None, 0)


def test_rgb_masks_by_a_palette_of_their_own(run, add, tmp_path):
    (tmp_path / "palette.txt").write_text("sky 128 128 128\nroad 128 64 128\nvoid 0 0 0\n")
    line = add("a", [0])
    pixels = np.resize(
        np.array([[128, 128, 128], [128, 64, 128], [0, 0, 0]], np.uint8), (18, 20, 3)
    )
    (tmp_path / "masks/a.png").unlink()
    Image.fromarray(pixels).save(tmp_path / "masks/a.png")
    flags = ["--palette", tmp_path / "palette.txt"]
    numbers, _ = run([line], *flags, evaluate=flags)
    assert list(numbers["iou"]) == ["sky", "road"]


@pytest.fixture
def folder(add, tmp_path):
    """A data set's folder: lists, classes with colours, and a mask in these colours."""
    colors = np.array([[10, 20, 30], [200, 0, 100], [1, 1, 1]], np.uint8)
    lines = [add("a", [0, 1, 255]), add("b", [1])]
    (tmp_path / "masks/a.png").unlink()
    Image.fromarray(np.resize(colors, (18, 20, 3))).save(tmp_path / "masks/a.png")
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "val.txt").write_text(lines[0])
    (tmp_path / "classes.txt").write_text("background 10 20 30\nroad 200 0 100\nvoid 1 1 1\n")
    return tmp_path


def test_a_folder_says_all_and_its_names_and_colors_travel(script, folder, tmp_path):
    sizes = [*SMALL, "--snapshot_dir", tmp_path / "run", "--save_num_images", 1]
    result = script("train", "--data_dir", folder, *sizes)
    assert result.status == 0, result.err
    assert "train.txt in" in result.out and "val mean IoU" in result.out
    for name in ("train.txt", "val.txt", "classes.txt"):  # nobody needs them any more
        (folder / name).rename(folder / f"old_{name}")
    data = ["--data_dir", folder, "--data_list", "old_val.txt"]
    report = ["--report", tmp_path / "report", "--save_dir", tmp_path / "masks_out"]
    result = script("evaluate", *data, "--restore_from", tmp_path / "run", *report)
    assert result.status == 0, result.err
    assert "background" in result.out and "rgb(200,0,100)" in (
        (tmp_path / "report/index.html").read_text()
    )
    with Image.open(tmp_path / "masks_out/a.png") as mask:
        assert mask.getpalette()[:6] == [10, 20, 30, 200, 0, 100]
    figure = np.asarray(Image.open(tmp_path / "run/images/step-1.png").convert("RGB"))
    assert (figure == (200, 0, 100)).all(axis=-1).sum() > 100
    result = script("inference", folder / "a.png", tmp_path / "run", "--save_dir", tmp_path / "o")
    assert result.status == 0 and ("road" in result.out or "background" in result.out)


def test_names_in_another_order_are_an_error_that_class_names_overrides(script, folder, tmp_path):
    sizes = [*SMALL, "--snapshot_dir", tmp_path / "run"]
    assert script("train", "--data_dir", folder, *sizes).status == 0
    other = folder / "classes.txt"
    other.write_text("road 200 0 100\nbackground 10 20 30\nvoid 1 1 1\n")
    evaluate = ["evaluate", "--data_dir", folder, "--restore_from", tmp_path / "run"]
    tune = ["train", "--data_dir", folder, "--restore_from", tmp_path / "run", *SMALL]
    tune += ["--snapshot_dir", tmp_path / "run2"]
    resume = ["train", "--data_dir", folder, *sizes, "--resume"]
    for command in (evaluate, tune, resume):
        result = script(*command)
        assert result.status == 2 and "label 0 is 'road' in" in result.err, command
        assert ("--class_names" in result.err) == (command is not resume)
    assert script(*evaluate, "--class_names", other).status == 0
    assert script(*tune, "--class_names", other).status == 0
    result = script("evaluate", *evaluate[1:-1], tmp_path / "run2")
    assert result.status == 0 and "road" in result.out


def test_rgb_masks_without_colors_are_an_error_outside_vocs_layout(script, folder, tmp_path):
    (folder / "classes.txt").write_text("background\nroad\n")
    result = script("train", "--data_dir", folder, *SMALL, "--snapshot_dir", tmp_path / "run")
    assert result.status == 2 and "(10, 20, 30)" in result.err
    assert not (tmp_path / "run/history.csv").exists()


def test_256_classes(run, add, tmp_path):
    numbers, _ = run([add("a", np.arange(255))], "--num_classes", 256)
    assert len(numbers["iou"]) == 256


def test_label_255_is_void_and_never_a_class(script, add, tmp_path):
    (tmp_path / "list.txt").write_text(add("a", [0, 255]))
    data = ["--data_dir", tmp_path, "--data_list", "list.txt", "--snapshot_dir", tmp_path / "run"]
    result = script("train", *data, *SMALL, "--num_classes", 256, "--ignore_label", 0)
    assert result.status == 2 and "255" in result.err


def test_weak_labels_train_where_all_is_void(run, add, tmp_path):
    lines = [add("void", [255]), add("nearly", [255] * 350 + [1])]
    run(lines, "--num_classes", 2, "--num_steps", 6, "--save_pred_every", 6)
    model, _ = load_model(tmp_path / "run")
    assert all(np.isfinite(parameter).all() for parameter in model.parameters.values())
