"""Flags made of settings."""

import dataclasses

import pytest

from deeplab_lfov import DenseCRF, UserError
from deeplab_lfov.cli import evaluate_flags, flags, inference_flags, train_flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.crf.dense_crf import flag_of
from deeplab_lfov.evaluation.settings import TASKS, MeasureSettings
from deeplab_lfov.inference.settings import InferenceSettings
from deeplab_lfov.settings import SWITCH, WHOLE, Settings, defaults_of, one_of, setting
from deeplab_lfov.training.settings import TrainSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Drinks(Settings):
    cups: int = setting(2, WHOLE, "how many", names=("--mugs",), metavar="N")
    hot: bool = setting(True, SWITCH, "of it")
    kind: str | None = setting(None, one_of("tea", "coffee"), "which")
    silent: int = setting(3, WHOLE, None)


def test_a_parser_is_made_of_the_fields():
    parser = Parser("test", defaults_of(_Drinks))
    flags.add_flags(parser, _Drinks)
    text = " ".join(parser.format_help().split())
    assert "--cups N, --mugs N how many (default: 2)" in text and "silent" not in text
    given = vars(parser.parse_args(["--mugs", "4", "--no-hot", "--kind", "tea"]))
    assert _Drinks(**given) == _Drinks(cups=4, hot=False, kind="tea")
    with pytest.raises(UserError, match="--cups/--mugs: '-1' is not a whole number from 0"):
        parser.parse_args(["--cups", "-1"])
    with pytest.raises(UserError, match="--kind: invalid choice: 'milk'"):
        parser.parse_args(["--kind", "milk"])


def test_flags_of_the_crf_make_the_crf():
    parser = Parser("test")
    flags.add_prediction_flags(parser)
    given = vars(parser.parse_args(["--crf", "--bi_w", "7", "--crf_iterations", "3", "--flip"]))
    crf = DenseCRF(num_iterations=3, bi_w=7)
    assert flags.prediction_settings(given) == {"crf": crf, "flip": True}
    assert flags.prediction_settings({"crf": False}) == {}
    assert flags.prediction_settings({}, crf=True) == {"crf": DenseCRF()}
    with pytest.raises(UserError, match="add --crf"):
        flags.prediction_settings({"bi_w": 7.0})


@pytest.mark.parametrize(
    ("parser", "settings"),
    [
        (train_flags.parser(), [TrainSettings]),
        (evaluate_flags.parser(), [MeasureSettings, *TASKS.values()]),
        (inference_flags.parser(), [InferenceSettings]),
    ],
)
def test_every_setting_has_its_flag_and_every_flag_its_setting(parser, settings):
    names = {action.dest for action in parser._actions} - {"help"}
    names -= {"epochs"}  # stands for num_steps
    names -= {flag_of(field.name) for field in dataclasses.fields(DenseCRF)}
    fields = {field.name for each in settings for field in dataclasses.fields(each)}
    fields -= {"fresh_layers", "order_by"}  # known from the weights, and the run
    fields -= {"ckpt"}  # the last of inference.py's paths
    assert names == fields
