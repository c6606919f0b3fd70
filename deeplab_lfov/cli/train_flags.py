"""The flags of train.py, in groups; their defaults are the configuration."""

from dataclasses import fields

from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.data.settings import DataSettings, ListSettings
from deeplab_lfov.settings import ABOVE_0, defaults_of
from deeplab_lfov.solver.settings import SolverSettings
from deeplab_lfov.training import parts
from deeplab_lfov.training.settings import RECIPES, TrainSettings


def parser() -> Parser:
    """Make the parser of train.py; flags without a default are as the recipe says."""
    defaults = defaults_of(TrainSettings)
    shown = {name: defaults[name] for name in defaults.keys() - RECIPES["adam"].keys()}
    p = Parser(
        "Train DeepLab-LargeFOV; writes model.ckpt-<steps done>, figures and history.", shown
    )
    group = p.add_argument_group("data")
    for settings in (ListSettings, DataSettings, parts.AugmentationSettings, parts.CropSettings):
        flags.add_flags(group, settings)
    flags.add_flags(p.add_argument_group("network"), parts.NetworkSettings)
    group = p.add_argument_group("solver; without a default: as the recipe says")
    flags.add_flags(group, TrainSettings)
    steps = group.add_mutually_exclusive_group()
    for field in fields(SolverSettings):
        flags.add_setting(steps if field.name == "num_steps" else group, field)
        if field.name == "num_steps":
            help = "instead: how often to go through the list"
            steps.add_argument("--epochs", type=ABOVE_0, help=help)
    flags.add_flags(p.add_argument_group("output"), parts.RecordSettings)
    return p
