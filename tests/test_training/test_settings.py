"""How the flags that were given become the settings of a run."""

import dataclasses
import json

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.training.settings import RECIPES, TrainSettings, decisive
from deeplab_lfov.training.snapshots import Run
from deeplab_lfov.training.start import Start

LIST = {"data_list": "list.txt"}


def complete(start=Start(), **flags):  # noqa: B008 - it is a value
    return TrainSettings.complete(LIST | flags, start)


def resumed(settings, **flags):
    """Complete flags that resume a run of those settings after 5 steps."""
    stored = {"settings": np.array(json.dumps(settings.as_stored("list", None)), object)}
    tensors = stored | {"global_step": np.int64(5), "class_colors": np.zeros([21, 3], np.uint8)}
    run = Run("model.ckpt-5", tensors)
    return TrainSettings.complete({"resume": True, **flags}, Start(tensors, run.path, run))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_gives_what_no_flag_says(recipe):
    flags = {"freeze": "none", "num_steps": 7}
    settings = complete(recipe=recipe, weight_decay=0.25, **flags)
    expected = RECIPES[recipe] | flags | {"weight_decay": 0.25, "freeze": None}
    expected.pop("epochs", None)
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize("recipe", ["poly", "step", "adam"])
def test_the_rate_rises_where_a_trained_network_gets_a_new_last_layer(recipe):
    flags = {"recipe": recipe, "restore_from": "model.ckpt-1"}
    assert complete(**flags).warmup_steps == 0
    assert complete(**flags, not_restore_last=True).warmup_steps == 50
    assert complete(**flags, not_restore_last=True, warmup_steps=0).warmup_steps == 0


def test_epochs_are_steps_through_the_list(tmp_path):
    (tmp_path / "train.txt").write_text("a.jpg a.png\n" * 5)
    flags = {"data_dir": str(tmp_path), "batch_size": 2, "data_list": "train.txt"}
    assert complete(epochs=1.5, **flags).num_steps == 4
    assert complete(epochs=0.01, **flags).num_steps == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"gamma": 0.5}, "--gamma does nothing without --lr_policy step"),
        ({"momentum": 0.5}, "--optimizer sgd"),
        ({"recipe": "step", "power": 0.9}, "--power does nothing without --lr_policy poly"),
        ({"recipe": "poly", "step_size": 5}, "--step_size does nothing"),
        ({"random_scale": False, "scale_range": (0.5, 1.0)}, "--random_scale"),
        ({"rare_classes": ("cat",)}, "--rare_classes does nothing without --rare_crops"),
        ({"augment": {"hue": 1}}, "a list of flip, turn, rotate, color and blur such as"),
        ({"augment": {"rotate": 181}}, "at most flip=1, turn=1, rotate=180, color=1, blur=20"),
        ({"augment": ("flip",)}, "augment must be a list of flip"),
        ({"not_restore_last": True}, "--restore_from"),
        ({"val_every": 5}, "--val_list"),
        ({"patience": 2}, "--val_list"),
        ({"freeze": "conv2_2"}, "without --restore_from they are random"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"freeze": "conv9"}, "freeze must be one of conv1_1, "),
        ({"width": 0.3}, "width must be a multiple of 1/64"),
    ],
)
def test_flags_without_effect_and_values_that_are_none_are_refused(flags, words):
    with pytest.raises(UserError, match=words):
        complete(**flags)


def test_a_run_goes_on_with_its_settings_but_for_those_that_may_change():
    augments = {"augment": {"flip": 0.5, "rotate": 5.0}, "rare_crops": 0.3}
    flags = {"scale_range": (0.5, 1.0), "devices": ("cpu:0",), "seed": 3}
    before = complete(recipe="poly", **flags, **augments, rare_classes=("a", "b"))
    after = resumed(before, num_steps=30000, max_to_keep=2)
    changes = {"num_steps": 30000, "max_to_keep": 2, "resume": True, "devices": None}
    assert after == dataclasses.replace(before, **changes)
    assert resumed(before, **augments).augment == before.augment
    with pytest.raises(UserError, match="--augment is {'flip': 0.5, 'rotate': 5.0} and not"):
        resumed(before, augment={"flip": 0.5})
    with pytest.raises(UserError, match="--seed is 3 and not 4; leave"):
        resumed(before, seed=4)
    with pytest.raises(UserError, match="has done 5 steps; it cannot end after 4"):
        resumed(before, num_steps=4)


def test_settings_of_a_run_that_are_not_whole_are_an_error():
    run = Run("model.ckpt-5", {"settings": np.array("{}", object), "class_colors": None})
    with pytest.raises(UserError, match="are damaged: no batch_size, num_classes, random_mirror"):
        TrainSettings.complete({"resume": True}, Start(run.tensors, run.path, run))


def test_what_decides_a_run_is_stored_and_compared():
    settings = complete()
    stored = settings.as_stored("list", [1.0, 2.0])
    assert json.loads(json.dumps(stored)) == stored and "devices" not in stored
    assert {"learning_rate", "contents"} < decisive(stored).keys()
    assert not {"data_dir", "resume"} & decisive(stored).keys()
    settings.check_contents(stored, settings.as_stored("list", [1.0, 2.0]))
    with pytest.raises(UserError, match="contents of class_weights are not those"):
        settings.check_contents(stored, settings.as_stored("list", None))
    with pytest.raises(UserError, match="contents of augment are not those"):
        settings.check_contents(stored, settings.as_stored("list", [1.0, 2.0], complete))
    old = {"contents": {"data_list and palette": "list", "class_weights": [1.0, 2.0]}}
    settings.check_contents(old, stored)  # of a run that began before there were hooks
