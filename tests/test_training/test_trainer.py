import json
import re
import signal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov import Solver
from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.data.image_reader import ImageReader
from deeplab_lfov.training import trainer
from deeplab_lfov.weights.formats import read_tensors
from deeplab_lfov.weights.tf_checkpoint import checkpoints_in
from helpers import VAL


def test_the_best_checkpoint_history_and_curve(train, tmp_path):
    result = train("--num_steps", 20, "--val_list", VAL, "--val_every", 10, "--max_to_keep", 1)
    assert result.status == 0, result.err
    ious = [float(iou) for iou in re.findall(r"val mean IoU ([\d.]+)", result.out)]
    assert len(ious) == 2 and "saved" in result.out
    best_step = 10 if ious[0] >= ious[1] else 20
    assert read_tensors(tmp_path / "run/model.ckpt-best")["global_step"] == best_step
    names = [path.name for path in checkpoints_in(tmp_path / "run")]
    assert names == ["model.ckpt-best", "model.ckpt-20"]
    rows = (tmp_path / "run/history.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[2].startswith("20,")
    assert (tmp_path / "run/history.png").is_file()
    assert list((tmp_path / "run/events").iterdir())


def test_the_bar_knows_the_step_at_each_save_of_a_log(train):
    result = train("--num_steps", 8, "--save_pred_every", 4)
    assert result.status == 0 and "| 4/8 steps, epoch 1.3, mean loss" in result.err
    assert "| 8/8 steps, epoch 2.7, mean loss" in result.err


def test_a_signal_that_comes_between_steps_loses_none(train, tmp_path, monkeypatch):
    note = trainer.Trainer._note

    def note_and_signal(self, step, *more):
        note(self, step, *more)
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(trainer.Trainer, "_note", note_and_signal)
    result = train("--num_steps", 9)
    assert result.status == 143, result.err
    step = int(re.search(r"stopped by SIGTERM after step (\d)", result.out + result.err)[1])
    assert read_tensors(tmp_path / "run")["global_step"] == step


def test_recipes_are_defaults_that_flags_override(train):
    result = train("--recipe", "step", "--num_steps", 1, "--weight_decay", 0.25)
    assert result.status == 0, result.err
    assert "sgd, rate 0.001" in result.out
    assert "fc8_voc12 biases: rate x 20, weight decay 0" in result.out
    assert "    filters: rate x 1, weight decay 0.25" in result.out


def test_the_recipe_for_random_filters_weighs_classes(train, tmp_path):
    result = train("--recipe", "scratch", "--num_steps", 1)
    assert result.status == 0 and "adam, rate 0.0005, falling to 0 at step 1" in result.out
    assert "nan" not in result.err  # no rate after one step
    settings = json.loads(read_tensors(tmp_path / "run")["settings"].item())
    assert len(set(settings["contents"]["class_weights"])) > 2


def test_class_weights_from_a_file(train, tmp_path):
    (tmp_path / "weights.txt").write_text("1\n" * 20)
    result = train("--num_steps", 1, "--class_weights", tmp_path / "weights.txt")
    assert result.status == 2 and "20 weights, not 21" in result.err
    assert "masks" not in result.err  # it comes before they are looked at


def test_a_loss_that_is_not_finite_names_step_files_and_last_checkpoint(train, tmp_path):
    result = train("--num_steps", 300, "--optimizer", "sgd", "--learning_rate", 1e6)
    assert result.status == 2
    error = result.err.rpartition("error: ")[2]
    step = int(re.search(r"of step (\d+) is not finite", error).group(1))
    assert error.count(".jpg") == 2 and "lower --learning_rate" in error
    for path in checkpoints_in(tmp_path / "run"):
        tensors = read_tensors(path)
        assert tensors["global_step"] < step and np.isfinite(tensors["fc7/w"]).all()


def test_a_bad_file_stops_the_run_after_saving_what_was_learnt(train, tmp_path):
    for name in "abcd":
        Image.new("RGB", (40, 40)).save(tmp_path / f"{name}.jpg")
        write_mask(tmp_path / f"{name}.png", np.zeros((40, 40), np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{name}.jpg {name}.png\n" for name in "abcd"))
    last = ImageReader(tmp_path, "list.txt").files_of_step(1, 2)[1]
    write_mask(last.with_suffix(".png"), np.full((40, 40), 99, np.uint8))
    flags = ["--num_steps", 9, "--save_pred_every", 9, "--no-check_data"]
    result = train(*flags, data_dir=tmp_path, data_list="list.txt")
    assert result.status == 2 and f"{last.with_suffix('.png')} holds labels" in result.err
    assert checkpoints_in(tmp_path / "run") == [tmp_path / "run/model.ckpt-1"]


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), "bfloat16"),
        (tf.errors.NotFoundError(None, None, "No algorithm worked!  Errors: ..."), "float16"),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY"), None),
    ],
)
def test_out_of_memory_names_the_flags_that_help(train, monkeypatch, error, short):
    def step(*_):
        raise error

    monkeypatch.setattr(Solver, "step", step)
    monkeypatch.setattr(trainer, "short_precision", lambda: short)
    result = train("--num_steps", 1)
    assert result.status == 2 and "error: out of memory" in result.err
    for flag in ("--batch_size", "--iter_size", "--input_size", "--width"):
        assert flag in result.err
    assert (f"--precision {short}" if short else "--width") + "\n" in result.err


def test_weights_ruined_by_an_update_are_not_saved(train, tmp_path):
    flags = ["--optimizer", "sgd", "--learning_rate", 1e30, "--save_pred_every", 1]
    result = train("--num_steps", 5, *flags)
    assert result.status == 2 and "of step 1 is not finite" in result.err
    assert not checkpoints_in(tmp_path / "run")


def test_masks_of_the_val_list_are_looked_at_before_the_run(train, shapes, tmp_path):
    picture = shapes / "JPEGImages/shapes_000006.jpg"
    with Image.open(picture) as image:
        write_mask(tmp_path / "bad.png", np.full(image.size[::-1], 99, np.uint8))
    (tmp_path / "val.txt").write_text(f"{picture} {tmp_path}/bad.png\n")
    result = train("--num_steps", 5, "--val_list", tmp_path / "val.txt")
    assert result.status == 2 and "bad.png" in result.err and "step 5" not in result.out


@pytest.mark.parametrize("left", ["model.ckpt-best.index", "history.png", "model.ckpt-7.index"])
def test_what_is_left_of_a_run_is_not_written_over(train, tmp_path, left):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / left).touch()
    result = train("--num_steps", 1)
    assert result.status == 2 and "already holds a run" in result.err
    assert {path.name for path in (tmp_path / "run").iterdir()} == {left, ".lock"}
