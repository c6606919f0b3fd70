"""The settings of a training run: train.py's flags by name, recipes for them, and how runs go on.

A value of TrainSettings is complete: what was not given comes from the recipe, from the run that is
resumed, or from the weights that training starts with.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deeplab_lfov.data.class_files import POWERS, classes_from, classes_in, read_class_weights
from deeplab_lfov.data.list_files import list_of, own_list, parse_list
from deeplab_lfov.errors import UserError
from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.settings import one_of, setting
from deeplab_lfov.solver.settings import SolverSettings
from deeplab_lfov.training.parts import CropSettings, NetworkSettings, RecordSettings

if TYPE_CHECKING:
    from deeplab_lfov.training.start import Start

WARMUP_STEPS = 50
"""Steps in which the rate rises where a last layer starts afresh on a trained LargeFOV.

At the full rate of SGD's recipes that layer kills the network below it, see docs/results.md.
"""

RECIPES = {
    "adam": {  # the first TensorFlow version
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "lr_policy": "fixed",
        "num_steps": 20000,
        "batch_size": 16,
        "weight_decay": 0.0,
        "head_lr_mult": 1.0,
        "bias_lr_mult": 1.0,
        "random_mirror": False,
    },
    "step": {  # arXiv 1412.7062, section 4, and its release's train.prototxt
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "lr_policy": "step",
        "num_steps": 6000,
        "batch_size": 30,
        "weight_decay": 5e-4,
        "head_lr_mult": 10.0,
        "bias_lr_mult": 2.0,
        "random_mirror": True,
    },
}
RECIPES["poly"] = RECIPES["step"] | {  # arXiv 1606.00915, section 4.1
    "lr_policy": "poly",
    "num_steps": 20000,
    "batch_size": 10,
}
RECIPES["scratch"] = RECIPES["adam"] | {  # docs/from_scratch.md
    "learning_rate": 5e-4,
    "lr_policy": "poly",
    "batch_size": 8,
    "random_mirror": True,
    "class_weights": "sqrt",
}
RECIPES["finetune"] = RECIPES["scratch"] | {  # docs/results.md
    "learning_rate": 5e-5,
    "epochs": 40.0,
    "batch_size": 4,
    "head_lr_mult": 4.0,
    "warmup_steps": WARMUP_STEPS,
    "freeze": "conv2_2",
    "class_weights": None,
    "val_every": 250,
    "save_pred_every": 250,
}
"""Settings by recipe: of publications, for random filters and few pictures, and for a VGG-16 and
hundreds of pictures. `epochs` gives way to a num_steps of the user's."""

FREE = {
    *("data_dir", "snapshot_dir", "save_dir", "save_num_images", "save_pred_every", "max_to_keep"),
    *("restore_from", "not_restore_last", "resume", "val_every", "check_data", "patience"),
    *("data_list", "palette", "class_weights"),  # files whose contents are compared instead
    "masks",  # of which a change is a warning
}
"""What may differ when a run is resumed: where things are and how often they are looked at."""

EXTENDING = {"num_steps", "learning_rate"}
"""What a resumed run may be told anew; from then on it is another run's continuation."""

NOT_STORED = {"devices"}  # any number of replicas computes the same


@dataclass(frozen=True, kw_only=True)
class TrainSettings(CropSettings, NetworkSettings, SolverSettings, RecordSettings):
    """Everything that decides a run, one field for each flag of train.py, under the same name.

    `complete` makes one of the flags that were given. What the recipes name comes from one of them,
    the lists from the data set's folder, and num_classes and width from the weights.
    """

    recipe: str = setting(
        "adam",
        one_of(*RECIPES),
        "defaults for the flags below, --batch_size and --random_mirror: the first TensorFlow "
        "version's, arXiv 1412.7062's, arXiv 1606.00915's; scratch is for random filters, finetune "
        "for an ImageNet VGG-16 (and sets --freeze, --val_every, --save_pred_every), and few "
        "pictures",
    )

    @classmethod
    def complete(cls, flags: Mapping[str, object], start: Start) -> TrainSettings:
        """Complete the flags that were given, by name, for a run that begins with `start`.

        `epochs` stands for as many num_steps as go through the list so often. Raises UserError for
        flags that would change the run that is resumed, and for names and numbers of classes that
        do not fit together.
        """
        given = {name: value for name, value in flags.items() if name != "epochs"}
        given |= {"freeze": None} if given.get("freeze") == "none" else {}
        if start.run:
            values = _of_run(given, start.settings_of_run())
        else:
            recipe = dict(RECIPES[given.get("recipe", cls.recipe)])
            epochs = recipe.pop("epochs", None)
            if given.get("not_restore_last"):
                recipe["warmup_steps"] = WARMUP_STEPS
            if epochs and "num_steps" not in given:
                flags = {"epochs": epochs, **flags}
            values = recipe | _lists(given) | given | _of_network(given, start)
        settings = cls(**values)
        if "epochs" in flags:
            num_samples = len(parse_list(settings.data_dir, settings.data_list))
            per_epoch = num_samples / settings.crops_per_step
            num_steps = max(1, math.ceil(flags["epochs"] * per_epoch))
            settings = dataclasses.replace(settings, num_steps=num_steps)
        _check_effect(given, settings)
        if start.run and not flags.keys().isdisjoint({"num_steps", "epochs"}):
            done = int(start.tensors["global_step"])
            if settings.num_steps < done:
                raise UserError(
                    f"the run has done {done} steps; it cannot end after {settings.num_steps}"
                )
        return settings

    @property
    def crops_per_step(self) -> int:
        """How many crops make an update, in all passes and on all devices."""
        return self.batch_size * self.iter_size

    def as_stored(self, data: str, class_weights: list[float] | None, hook: object = None) -> dict:
        """Return the settings as a checkpoint has them: through JSON, tuples as lists.

        With them goes what tells whether files still hold what they did when the run began: `data`,
        the fingerprint of the training list and palette, the weights of the classes, and the name
        of the hook that augments.
        """
        values = {n: v for n, v in dataclasses.asdict(self).items() if n not in NOT_STORED}
        name = hook and getattr(hook, "__qualname__", type(hook).__name__)
        contents = {"data_list and palette": data, "class_weights": class_weights, "augment": name}
        return _through_json(values | {"contents": contents})

    def check_contents(self, before: dict, now: dict) -> None:
        """Raise UserError where files that a run's settings name hold other things than before.

        before and now: settings as stored.
        """
        before, now = before["contents"], now["contents"]
        if changed := [name for name in now if before.get(name) != now[name]]:
            raise UserError(
                f"the contents of {' and '.join(changed)} are not those the run in "
                f"{self.snapshot_dir} began with, so it would become another run; restore them or "
                "start another"
            )


def decisive(stored: Mapping[str, object]) -> dict[str, object]:
    """Return those of a run's stored settings that decide it: where its files are does not."""
    return {name: value for name, value in stored.items() if name not in FREE}


def _of_run(flags: Mapping[str, object], stored: dict) -> dict[str, object]:
    """Return a run's settings with those flags changed that may be; refuse the others by name."""
    given = _through_json({name: value for name, value in flags.items() if name not in NOT_STORED})
    changed = [
        name for name in sorted(set(given) - FREE - EXTENDING) if given[name] != stored.get(name)
    ]
    if changed:
        changes = (f"--{name} is {stored.get(name)} and not {given[name]}" for name in changed)
        folder = flags.get("snapshot_dir", TrainSettings.snapshot_dir)
        raise UserError(
            f"the run in {folder} has other settings: {', '.join(changes)}; leave those flags out "
            "to resume it, or start another run in another --snapshot_dir"
        )
    fields = {field.name: field.default for field in dataclasses.fields(TrainSettings)}
    kept = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name in fields.keys() - {"snapshot_dir", "resume"}
    }
    needed = (name for name, default in fields.items() if default is dataclasses.MISSING)
    if missing := sorted(set(needed) - kept.keys()):
        raise UserError(f"the settings of the run to resume are damaged: no {', '.join(missing)}")
    return kept | dict(flags)


def _check_effect(flags: Mapping[str, object], settings: TrainSettings) -> None:
    """Raise UserError for a flag that was given and does nothing beside the others, or is wrong."""
    has_effect = {
        "momentum": (settings.optimizer == "sgd", "--optimizer sgd"),
        "power": (settings.lr_policy == "poly", "--lr_policy poly"),
        "step_size": (settings.lr_policy == "step", "--lr_policy step"),
        "gamma": (settings.lr_policy == "step", "--lr_policy step"),
        "scale_range": (settings.random_scale, "--random_scale"),
        "rare_classes": (settings.rare_crops > 0, "--rare_crops"),
        "val_every": (settings.val_list is not None, "--val_list"),
        "not_restore_last": (settings.restore_from is not None, "--restore_from"),
        "patience": (settings.val_list is not None, "--val_list"),
    }
    for name, (does, what) in has_effect.items():
        if name in flags and flags[name] is not False and not does:
            raise UserError(f"--{name} does nothing without {what}; add that or leave it out")
    if settings.class_weights not in (None, "none", *POWERS):  # they are needed after the masks
        read_class_weights(settings.class_weights, settings.num_classes)
    if settings.freeze and not settings.restore_from:
        raise UserError(
            f"layers to {settings.freeze} are frozen, and without --restore_from they are random; "
            "add that (a seed that util/extract_params.py makes, or a checkpoint), or --freeze none"
        )


def _lists(flags: Mapping[str, object]) -> dict[str, object]:
    """Return the lists of a new run: the data set's own, if it has them, else VOC's."""
    data_dir = flags.get("data_dir", TrainSettings.data_dir)
    if "data_list" in flags or not own_list(data_dir, "train"):
        return {"data_list": list_of(data_dir, "train")}
    return {"data_list": own_list(data_dir, "train"), "val_list": own_list(data_dir, "val")}


def _of_network(flags: Mapping[str, object], start: Start) -> dict[str, object]:
    """Return num_classes and width of a new run's network, and the layers at the head's rate.

    In SGD's recipes that is the last alone: at ten times their rate, tripled, fresh fc6 and fc7
    kill what is trained.
    """
    known = classes_in(flags.get("data_dir", TrainSettings.data_dir), flags.get("palette"))
    names = classes_from(flags.get("class_names"), known, flags.get("num_classes")).names
    fit, keeps_head = start.fit, not flags.get("not_restore_last")
    untrained = fit.untrained if fit and flags.get("recipe") == "finetune" else ()
    num_classes = fit.num_classes if fit and keeps_head else 21
    return {
        "num_classes": flags.get("num_classes") or len(names) or num_classes,
        "width": flags.get("width") or (fit.width if fit else 1.0),
        "fresh_layers": tuple(dict.fromkeys((*untrained, HEAD))),
    }


def _through_json(values: dict) -> dict:
    return json.loads(json.dumps(values))
