"""From a VGG-16 to a trained network: what is random is known, marked, and trained first."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_lfov.training.start import read_start
from deeplab_lfov.weights.caffemodel import read_caffemodel
from deeplab_lfov.weights.conversion import by_layer
from deeplab_lfov.weights.formats import read_tensors
from helpers import DATA, VAL


@pytest.fixture
def convolutions(tmp_path):
    """The thirteen convolutions of a narrow VGG-16 as .npz, without its top."""
    layers = by_layer(read_caffemodel(DATA / "vgg16_narrow_v1.caffemodel"))
    tensors = {}
    for name, (filters, bias) in layers.items():
        if name.startswith("conv"):
            tensors |= {f"{name}/w": filters.transpose(2, 3, 1, 0), f"{name}/b": bias.ravel()}
    np.savez(tmp_path / "vgg16.npz", **tensors)
    return tmp_path / "vgg16.npz"


@pytest.fixture
def seed(script, convolutions, tmp_path):
    result = script("util.extract_params", convolutions, "--output_dir", tmp_path / "seed")
    assert result.status == 0, result.err
    return tmp_path / "seed"


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (40, 33), (90, 60, 30)).save(tmp_path / "a.jpg")
    return tmp_path / "a.jpg"


def test_train_names_the_command_that_makes_a_seed_of_a_vgg16(train, convolutions):
    result = train("--num_steps", 1, "--restore_from", convolutions)
    assert result.status == 2
    assert "VGG-16 without top: util/extract_params.py makes a seed of it" in result.err


@pytest.mark.parametrize("name", ["model.ckpt-init", "net_weights.npz"])
def test_a_seed_is_not_taken_for_a_result(script, seed, picture, shapes, tmp_path, name):
    line = f"warning: fc6, fc7, fc8_voc12 of {seed / name} are random"
    result = script("inference", picture, seed / name, "--save_dir", tmp_path / "out")
    assert result.status == 0 and line in result.err and "train it first" in result.err
    data = ["--data_dir", shapes, "--data_list", VAL, "--num_steps", 1]
    result = script("evaluate", *data, "--restore_from", seed / name)
    assert result.status == 0 and line in result.err


def test_a_seed_is_trained_resumed_and_then_a_result(train, script, seed, picture, tmp_path):
    result = train("--num_steps", 20, "--recipe", "finetune", "--restore_from", seed)
    assert result.status == 0, result.err
    assert "fc6, fc7, fc8_voc12 afresh" in result.out and "warning: after" not in result.err
    result = train("--resume", "--num_steps", 21)
    assert result.status == 0, result.err
    assert "fc6, fc7, fc8_voc12 filters: rate x 4" in result.out
    settings = json.loads(read_tensors(tmp_path / "run/model.ckpt-21")["settings"].item())
    assert settings["fresh_layers"] == ["fc6", "fc7", "fc8_voc12"]
    result = script("inference", picture, tmp_path / "run", "--save_dir", tmp_path / "out")
    assert result.status == 0 and "are random" not in result.err
    assert read_start(tmp_path / "run", resume=True).fit.untrained == ()


def test_a_fresh_head_starts_small(train, tmp_path):
    flags = ["--restore_from", DATA / "caffe_narrow.caffemodel", "--not_restore_last"]
    rate = ["--learning_rate", 1e-9, "--num_classes", 30]
    result = train("--num_steps", 1, *flags, *rate)
    assert result.status == 0 and "fc8_voc12 afresh" in result.out
    head = read_tensors(tmp_path / "run/model.ckpt-1")["fc8_voc12/w"]
    assert abs(head.std() - 0.04) < 0.004  # 0.01 at the full width, of which this is 1/16


def test_frozen_layers_keep_their_weights_and_have_no_slots(train, seed, tmp_path):
    before = read_tensors(seed)
    flags = ["--restore_from", seed, "--freeze", "conv2_2", "--optimizer", "adam"]
    result = train("--num_steps", 2, "--learning_rate", 1e-2, *flags)
    assert result.status == 0, result.err
    after = read_tensors(tmp_path / "run/model.ckpt-2")
    for name in ("conv1_1/w", "conv1_1/b", "conv2_2/w", "conv2_2/b"):
        np.testing.assert_array_equal(after[name], before[name])
        assert f"{name}/Adam" not in after
    assert np.abs(after["conv3_1/w"] - before["conv3_1/w"]).max() > 1e-3
    assert "conv3_1/w/Adam" in after


def test_a_frozen_layer_beside_a_trained_one_of_the_same_block(train, seed, tmp_path):
    before = read_tensors(seed)
    result = train("--num_steps", 1, "--restore_from", seed, "--freeze", "conv1_1")
    assert result.status == 0, result.err
    after = read_tensors(tmp_path / "run/model.ckpt-1")
    np.testing.assert_array_equal(after["conv1_1/w"], before["conv1_1/w"])
    assert (after["conv1_2/w"] != before["conv1_2/w"]).any()


def test_a_seed_with_another_head_is_still_a_seed(script, seed, picture, tmp_path):
    flags = ["--head", "init", "--num_classes", 5, "--output_dir", tmp_path / "seed5"]
    assert script("util.extract_params", seed, *flags).status == 0
    result = script("inference", picture, tmp_path / "seed5", "--save_dir", tmp_path / "out")
    assert "warning: fc6, fc7, fc8_voc12 of" in result.err


def test_random_filters_cannot_be_frozen(train):
    result = train("--num_steps", 1, "--recipe", "finetune")
    assert result.status == 2 and "layers to conv2_2 are frozen" in result.err
    assert "--freeze none" in result.err


def test_the_recipe_for_fine_tuning_goes_by_epochs_and_takes_random_filters_if_told(train):
    result = train("--recipe", "finetune", "--freeze", "none", "--epochs", 1)
    assert result.status == 0 and "steps    1 to 3 of 2 x 1 crops" in result.out  # 6 images


def test_a_run_ends_after_validations_without_a_better_one(train, tmp_path):
    flags = ["--val_list", VAL, "--val_every", 1, "--learning_rate", 1e-12]  # nothing changes
    result = train("--num_steps", 9, *flags, "--patience", 2)
    assert result.status == 0, result.err
    assert "ended after step 3: 2 validations without a better one" in result.err + result.out
    assert read_tensors(tmp_path / "run/checkpoint")["global_step"] == 3
    assert read_tensors(tmp_path / "run")["global_step"] == 1  # the best
    result = train("--resume")
    assert result.status == 0 and "ended after step 3" in result.err + result.out


def test_patience_needs_a_val_list(train):
    result = train("--num_steps", 1, "--patience", 2)
    assert result.status == 2 and "--patience does nothing without --val_list" in result.err


def test_a_dying_run_says_so(train, seed):
    flags = ["--restore_from", seed, "--learning_rate", 0.1]
    result = train("--num_steps", 20, *flags)
    assert "warning: after step 20" in result.err and "the network dies" in result.err
    assert result.err.count("the network dies") == 1


def test_a_seed_is_restored_by_name_as_the_first_version_did(seed):
    names = {name for name, _ in tf.train.list_variables(str(seed / "model.ckpt-init"))}
    first = {name for name, _ in tf.train.list_variables(str(DATA / "tf012_narrow_v1.ckpt"))}
    assert first < names and names - first == {"untrained_layers"}


def test_a_seed_takes_the_classes_of_any_data_set(train, seed, shapes, tmp_path):
    names = [f"kind {label}\n" for label in range(22)]  # the seed has VOC's 21
    (tmp_path / "names.txt").write_text("".join(names))
    flags = ["--num_steps", 1, "--restore_from", seed, "--class_names", tmp_path / "names.txt"]
    result = train(*flags)
    assert result.status == 0, result.err
    assert "22 classes" in result.out
