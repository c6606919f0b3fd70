"""The flags of evaluate.py."""

from collections.abc import Mapping

from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.data.settings import DataSettings, ListSettings
from deeplab_lfov.evaluation.settings import (
    TASKS,
    EvaluationSettings,
    MaskSettings,
    MeasureSettings,
    TruthSettings,
    settings_of_task,
)
from deeplab_lfov.settings import defaults_of
from deeplab_lfov.weights.eight_bits import PRETRAINED


def parser() -> Parser:
    """Make the parser of evaluate.py."""
    description = "Measure the mean IoU of a checkpoint on pictures with masks."
    p = Parser(description, defaults_of(MeasureSettings))
    for settings in (ListSettings, DataSettings, TruthSettings, EvaluationSettings):
        flags.add_flags(p, settings)
    flags.add_prediction_flags(p)
    group = p.add_argument_group("output")
    for settings in (MaskSettings, MeasureSettings, *TASKS.values()):
        flags.add_flags(group, settings)
    return p


def settings_of(given: Mapping[str, object]) -> EvaluationSettings:
    """Make the settings of the task that flags ask for; a search for a CRF turns the CRF on.

    Raises UserError for flags that the task does not have.
    """
    given = {"restore_from": str(PRETRAINED), **given}
    return settings_of_task(flags.prediction_settings(given, crf="crf_search" in given))
