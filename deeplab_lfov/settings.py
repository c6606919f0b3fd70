"""The settings of a run, train.py's flags by name: from a recipe, or from the run resumed."""

import argparse
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.recipes import RECIPES

FREE = {
    *("data_dir", "snapshot_dir", "save_dir", "save_num_images", "save_pred_every", "max_to_keep"),
    *("restore_from", "not_restore_last", "resume", "val_every", "check_data"),
    *("data_list", "palette", "class_weights"),  # files whose contents are compared instead
}
"""What may differ when a run is resumed: where things are and how often they are looked at."""

NOT_STORED = {"devices"}
"""What is no part of a run: any number of replicas computes the same."""


def from_recipe(args: argparse.Namespace) -> None:
    """Set the flags that were not given to what the recipe says."""
    for name, value in RECIPES[args.recipe].items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def from_run(args: argparse.Namespace, stored: dict, typed: set[str]) -> None:
    """Set the flags that were not typed to those of a run.

    Raises UserError with every flag that was typed and would change the run.
    """
    given = as_stored(args)
    changed = [
        name for name in sorted(typed - FREE) if name in given and given[name] != stored.get(name)
    ]
    if changed:
        changes = (f"--{name} is {stored.get(name)} and not {given[name]}" for name in changed)
        raise UserError(
            f"the run in {args.snapshot_dir} has other settings: {', '.join(changes)}; leave those "
            "flags out to resume it, or start another run in another --snapshot_dir"
        )
    for name, value in stored.items():
        if name in given and name not in typed | {"snapshot_dir", "resume"}:
            setattr(args, name, tuple(value) if isinstance(value, list) else value)


def check_contents(args: argparse.Namespace, stored: dict, contents: dict) -> None:
    """Raise UserError where the files that the flags name hold other things than at the start."""
    changed = [name for name, content in contents.items() if stored.get(name) != content]
    if changed:
        raise UserError(
            f"the contents of {' and '.join(changed)} are not those the run in {args.snapshot_dir} "
            "began with, so it would become another run; restore them or start another"
        )


def as_stored(args: argparse.Namespace) -> dict:
    """The flags as they come back from a checkpoint: through JSON, tuples as lists."""
    stored = {name: value for name, value in vars(args).items() if name not in NOT_STORED}
    return json.loads(json.dumps(stored))


def fingerprint(
    settings: dict, class_names: Sequence[str], tensors: Mapping[str, np.ndarray]
) -> int:
    """A checksum of 32 bits of what decides a run; where its files are does not."""
    decisive = {name: value for name, value in settings.items() if name not in FREE}
    checksum = zlib.crc32(json.dumps([decisive, list(class_names)], sort_keys=True).encode())
    for name in sorted(tensors):
        if tensors[name].dtype != object:
            checksum = zlib.crc32(np.ascontiguousarray(tensors[name]), checksum)
    return checksum
