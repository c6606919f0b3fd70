"""The settings of a run, train.py's flags by name: from a recipe, or from the run resumed."""

import argparse
import json

from deeplab_lfov.errors import UserError
from deeplab_lfov.solver import RECIPES

FREE = {
    *("data_dir", "snapshot_dir", "save_dir", "save_num_images", "save_pred_every", "max_to_keep"),
    *("restore_from", "not_restore_last", "resume", "val_list", "val_every", "check_data"),
}
"""What may differ when a run is resumed: where things are and how often they are looked at."""


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
    changed = [name for name in sorted(typed - FREE) if given[name] != stored.get(name)]
    if changed:
        changes = (f"--{name} is {stored.get(name)} and not {given[name]}" for name in changed)
        raise UserError(
            f"the run in {args.snapshot_dir} has other settings: {', '.join(changes)}; leave those "
            "flags out to resume it, or start another run in another --snapshot_dir"
        )
    for name, value in stored.items():
        if name in given and name not in typed:
            setattr(args, name, tuple(value) if isinstance(value, list) else value)


def check_samples(args: argparse.Namespace, stored: dict, fingerprint: str) -> None:
    """Raise UserError where the list has other lines than when the run began."""
    if stored.get("samples") != fingerprint:
        raise UserError(
            f"the list {args.data_list} has changed since the run in {args.snapshot_dir} began, so "
            "the pictures would come in another order; restore the list or start another run"
        )


def as_stored(args: argparse.Namespace) -> dict:
    """The flags as they come back from a checkpoint: through JSON, tuples as lists."""
    return json.loads(json.dumps(vars(args)))
