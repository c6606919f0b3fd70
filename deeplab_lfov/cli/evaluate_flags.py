"""The flags of evaluate.py."""

import argparse
from collections.abc import Mapping

from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.evaluation.settings import (
    EvaluationSettings,
    MeasureSettings,
    settings_of_task,
)
from deeplab_lfov.weights.pretrained import PRETRAINED


def parser() -> Parser:
    """Make the parser of evaluate.py."""
    description = "Measure the mean IoU of a checkpoint on pictures with masks."
    p = Parser(description, flags.defaults_of(MeasureSettings) | {"crf": False})
    flags.add_list_flags(p, "val.txt", "val.txt")
    flags.add_label_flags(p)
    p.add_argument(
        "--restore_from",
        "--weights_path",
        type=flags.PATH,
        metavar="CKPT",
        help="weights to measure, or a run's folder; default: the network that comes along",
    )
    p.add_argument(
        "--num_steps", type=flags.COUNT, help="pictures to take; default: the whole list"
    )
    flags.add_prediction_flags(p)
    _add_outputs(p.add_argument_group("output"))
    return p


def settings_of(given: Mapping[str, object]) -> EvaluationSettings:
    """Make the settings of the task that flags ask for; a search for a CRF turns the CRF on.

    Raises UserError for flags that the task does not have.
    """
    given = {"restore_from": str(PRETRAINED), **given}
    return settings_of_task(flags.prediction_settings(given, crf="crf_search" in given))


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--save_dir", type=flags.PATH, help="folder for the masks, <picture>.png")
    group.add_argument(
        "--json", type=flags.PATH, metavar="FILE", help="file for the numbers, as fractions"
    )
    group.add_argument(
        "--report", type=flags.PATH, metavar="DIR", help="folder for index.html: numbers, pictures"
    )
    group.add_argument(
        "--trimap",
        type=flags.PIXELS,
        metavar="PIXELS",
        help="also the mean IoU within so many pixels of a boundary, such as 1,2,4,8,16",
    )
    flags.add_flag(group, "bf", "also BF, the F1 of boundaries within 0.75 %% of the diagonal")
    group.add_argument(
        "--compare",
        type=flags.PATH,
        metavar="OTHER",
        help="also the change from what --json wrote (.json), or from other weights",
    )
    flags.add_flag(group, "all_checkpoints", "instead: all checkpoints in the folder of weights")
    group.add_argument(
        "--crf_search",
        type=flags.FACTOR,
        nargs="?",
        const=2.0,
        metavar="FACTOR",
        help="instead: each bilateral parameter of the CRF divided by it (2), as is, and times it",
    )
    group.add_argument(
        "--voc_submission",
        type=flags.PATH,
        metavar="ZIP",
        help="instead: masks for VOC's test server, of a list without masks",
    )
