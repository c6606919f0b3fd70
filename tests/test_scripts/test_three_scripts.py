"""The three scripts end to end on tiny pictures, and what a user's mistakes get."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov import Predictor, load_model
from deeplab_lfov.data.image_files import read_image, read_mask, write_mask
from deeplab_lfov.training.settings import TrainSettings
from deeplab_lfov.training.start import Start
from helpers import DATA
from train import train as run_training

VAL = "ImageSets/Segmentation/val.txt"


def test_train_evaluate_infer(train, script, shapes, tmp_path):
    result = train("--num_steps", 3, "--save_pred_every", 2, "--random_mirror")
    assert result.status == 0, result.err
    assert "6 pictures" in result.out and "step 3: mean loss" in result.out
    for step in (2, 3):
        assert (tmp_path / f"run/model.ckpt-{step}.index").is_file()
        with Image.open(tmp_path / f"run/images/step-{step}.png") as figure:
            assert figure.size[0] == 900

    data = ["--data_dir", shapes, "--data_list", VAL]
    flags = ["--save_dir", tmp_path / "masks", "--json", tmp_path / "numbers.json"]
    ckpt = tmp_path / "run/model.ckpt-3"
    result = script("evaluate", *data, "--restore_from", ckpt, *flags)
    assert result.status == 0, result.err
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["num_images"] == 3 and numbers["seconds"] > 0
    assert f"{numbers['mean_iou']:.2%}" in result.out
    assert len(list((tmp_path / "masks").glob("shapes_*.png"))) == 3

    picture = shapes / "JPEGImages/shapes_000006.jpg"
    result = script("inference", picture, ckpt, "--save_dir", tmp_path / "out")
    assert result.status == 0, result.err
    mask = read_mask(tmp_path / "out/shapes_000006_mask.png", 21)
    np.testing.assert_array_equal(mask, read_mask(tmp_path / "masks/shapes_000006.png", 21))
    np.testing.assert_array_equal(mask, Predictor(load_model(ckpt)[0])(read_image(picture)))
    shares = re.findall(r"([\d.]+)%", result.out)
    assert sum(map(float, shares)) == pytest.approx(100, abs=0.5)


def test_training_continues_from_weights_with_another_number_of_classes(train, tmp_path, shapes):
    (tmp_path / "names.txt").write_text("\n".join(f"n{label}" for label in range(25)))
    weights = ["--restore_from", DATA / "tf012_narrow_v1.ckpt", "--num_steps", 1]
    result = train(*weights, "--not_restore_last", "--class_names", tmp_path / "names.txt")
    assert result.status == 0, result.err
    model, names = load_model(tmp_path / "run/model.ckpt-1")
    assert model.num_classes == 25 and names[24] == "n24" and model.width == 1 / 16


def test_inference_takes_folders_and_globs_and_tells_equal_names_apart(
    script, checkpoint, tmp_path
):
    for name in ("a/x.png", "a/y.jpg", "b/x.bmp", "b/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10)).save(path) if path.suffix != ".txt" else path.touch()
    inputs = [tmp_path / "a", tmp_path / "b" / "*.bmp", tmp_path / "a" / "x.png"]
    result = script("inference", *inputs, checkpoint, "--save_dir", tmp_path / "out")
    assert result.status == 0, result.err
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert names == {"a/x_mask.png", "y_mask.png", "b/x_mask.png"}


def assert_error(result, *words):
    assert result.status == 2
    assert result.err.startswith("error: ") and result.err.count("\n") == 1, result.err
    for word in words:
        assert str(word) in result.err


def test_train_refuses_a_folder_that_holds_a_run(train, tmp_path):
    assert train("--num_steps", 1).status == 0
    before = (tmp_path / "run/checkpoint").read_bytes()
    assert_error(train("--num_steps", 1), tmp_path / "run", "--snapshot_dir")
    assert (tmp_path / "run/checkpoint").read_bytes() == before
    new = ["--snapshot_dir", tmp_path / "new", "--save_dir", tmp_path / "run/images"]
    assert_error(train("--num_steps", 1, *new), "--save_dir")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--input_size", "321,"], "--input_size"),
        (["--width", "0.3"], "multiple of 1/64"),
        (["--data_list", "nowhere.txt"], "nowhere.txt"),
        (["--data_dir", "nowhere"], "nowhere"),
        (["--restore_from", "nowhere"], "nowhere"),
        (["--class_names", "nowhere.txt"], "nowhere.txt"),
        (["--restore_from", DATA / "tf012_narrow_v1.ckpt", "--num_classes", "3"], "fc8_voc12/w"),
        (["--snapshot_dir", "/dev/null/x"], "/dev/null/x"),
        (["--save_dir", "/dev/null/x"], "/dev/null/x"),
        (["--bogus"], "--bogus"),
    ],
)
def test_train_names_the_mistake(train, flags, word):
    assert_error(train(*flags), word)


@pytest.mark.parametrize("fault", ["missing", "sizes", "label", "color", "picture"])
def test_train_names_the_file_at_fault(train, tmp_path, fault):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    write_mask(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    (tmp_path / "list.txt").write_text("/a.jpg /a.png\n")
    at_fault, word = tmp_path / "a.png", ""
    if fault == "missing":
        at_fault.unlink()
    elif fault == "sizes":
        write_mask(at_fault, np.zeros((20, 31), np.uint8))
    elif fault == "label":
        write_mask(at_fault, np.full((20, 30), 33, np.uint8))
        word = "33"
    elif fault == "color":
        Image.new("RGB", (30, 20), (3, 4, 5)).save(at_fault)
        word = "(3, 4, 5)"
    else:
        at_fault = tmp_path / "a.jpg"
        at_fault.write_bytes(b"\xff\xd8\xff nothing")
    result = train("--num_steps", 1, data_dir=tmp_path, data_list="list.txt")
    assert_error_last_line(result, at_fault, word)


def assert_error_last_line(result, *words):
    """The progress bar has had its line already."""
    assert result.status == 2
    last = result.err.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("error: ") and all(str(word) in last for word in words), result.err


def test_evaluate_and_inference_name_the_mistake(script, shapes, checkpoint, tmp_path):
    evaluate = ["evaluate", "--data_dir", shapes, "--data_list", VAL, "--restore_from"]
    assert_error(script(*evaluate, tmp_path / "nowhere"), tmp_path / "nowhere")
    assert_error(script(*evaluate, checkpoint, "--json", tmp_path), tmp_path)
    assert_error(script(*evaluate, checkpoint, "--save_dir", "/dev/null/x"), "/dev/null/x")
    masks = shapes / "SegmentationClass"
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    assert_error(script(*evaluate, checkpoint, "--class_names", tmp_path / "names.txt"), "not 21")
    foreign = tmp_path / "shapes_000006.png"
    foreign.write_bytes(b"precious")
    assert_error(script(*evaluate, checkpoint, "--save_dir", tmp_path), foreign)
    assert foreign.read_bytes() == b"precious" and masks.is_dir()

    assert_error(script("inference", tmp_path / "nowhere.jpg", checkpoint), "nowhere.jpg")
    assert_error(script("inference", tmp_path / "*.jpg", checkpoint), "*.jpg")
    assert_error(script("inference", foreign, checkpoint, "--save_dir", tmp_path / "out"), foreign)
    assert_error(script("inference"), "PATH")


def test_evaluate_writes_over_no_mask_of_the_data_set_and_no_foreign_file(
    script, shapes, checkpoint, tmp_path
):
    evaluate = ["evaluate", "--data_dir", shapes, "--data_list", VAL, "--restore_from", checkpoint]
    before = {path: path.read_bytes() for path in (shapes / "SegmentationClass").iterdir()}
    assert_error(script(*evaluate, "--save_dir", shapes / "SegmentationClass"), "--save_dir")
    assert all(path.read_bytes() == content for path, content in before.items())
    (tmp_path / "notes.txt").write_text("precious")
    assert_error(script(*evaluate, "--json", tmp_path / "notes.txt"), "notes.txt exists")
    for _ in range(2):
        assert script(*evaluate, "--json", tmp_path / "numbers.json").status == 0


def test_evaluate_heeds_its_flags(script, shapes, checkpoint, tmp_path):
    evaluate = ["evaluate", "--data_dir", shapes, "--data_list", VAL, "--restore_from", checkpoint]
    flags = ["--json", tmp_path / "numbers.json", "--num_steps", 2]
    assert script(*evaluate, *flags).status == 0
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["num_images"] == 2 and set(numbers) == {
        *("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "iou"),
        *("num_images", "seconds", "checkpoint", "data_list", "date", "views", "precision"),
        "pictures",
    }
    assert_error_last_line(script(*evaluate, "--ignore_label", 0), "255")


def test_train_heeds_its_flags(train, tmp_path):
    """Its plan, the steps at which it saves, and the rows of the figures follow the flags."""
    flags = ["--num_steps", 5, "--iter_size", 3, "--seed", 6, "--save_pred_every", 2]
    result = train(*flags, "--save_num_images", 1)
    assert result.status == 0, result.err
    assert "steps    1 to 5 of 2 x 3 crops, 33 x 33 pixels, seed 6" in result.out
    saved = [int(step) for step in re.findall(r"step (\d+): mean loss", result.out)]
    assert saved == [2, 4, 5]
    with Image.open(tmp_path / "run/images/step-5.png") as figure:
        assert figure.width / figure.height > 2  # of a batch of two


def test_flags_of_the_reader_change_what_is_learnt(train, tmp_path):
    plain = ["--num_steps", 2, "--dropout", 0, "--restore_from", DATA / "tf012_narrow_v2.ckpt"]
    learnt = []
    for flags in ([], ["--seed", 6], ["--scale_range", "0.5,0.6"], ["--random_mirror"]):
        run = tmp_path / f"run{len(learnt)}"
        assert train(*plain, *flags, "--snapshot_dir", run).status == 0
        learnt.append(load_model(run)[0].parameters["fc7/w"].numpy())
    assert all(np.any(each != learnt[0]) for each in learnt[1:])


def test_training_from_a_notebook_with_a_settings_object(shapes, tmp_path):
    """Beside train.py, without a command line."""
    flags = {"data_dir": shapes, "data_list": "ImageSets/Segmentation/train.txt", "num_steps": 1}
    flags |= {"width": 1 / 64, "input_size": (17, 17), "batch_size": 1, "recipe": "poly"}
    settings = TrainSettings.complete(
        {name: str(v) if name == "data_dir" else v for name, v in flags.items()}
        | {"snapshot_dir": str(tmp_path / "run")},
        Start(),
    )
    assert (settings.optimizer, settings.num_classes, settings.iter_size) == ("sgd", 21, 1)
    run_training(settings)
    assert load_model(tmp_path / "run")[0].width == 1 / 64
