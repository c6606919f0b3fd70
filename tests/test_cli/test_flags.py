import argparse
import dataclasses

import pytest

from deeplab_lfov import DenseCRF, UserError
from deeplab_lfov.cli import evaluate_flags, flags, inference_flags, train_flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.crf.dense_crf import flag_of
from deeplab_lfov.evaluation.settings import TASKS, MeasureSettings
from deeplab_lfov.inference.settings import InferenceSettings
from deeplab_lfov.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (flags.COUNT, {"7": 7}, ["0", "-1", "1.5", "x", ""]),
        (flags.SIZE, {"321,417": (321, 417)}, ["321", "0,5", "3,4,5", "a,b", ""]),
        (
            flags.SCALE_RANGE,
            {"0.5,1": (0.5, 1.0)},
            ["1,0.5", "0,1", "1", "nan,nan", "1,inf", "1,1e39"],
        ),
        (flags.RATE, {"1e-4": 1e-4}, ["0", "-1", "nan", "inf", "x"]),
        (flags.WIDTH, {"0.25": 0.25}, ["0", "0.1", "9", "nan", "inf"]),
        (flags.DROPOUT, {"0": 0.0, "0.5": 0.5}, ["1", "-0.1", "nan"]),
        (flags.LABEL, {"255": 255}, ["-1", "256"]),
        (flags.NUM_CLASSES, {"1": 1, "256": 256}, ["0", "257"]),
        (flags.PATH, {"a b": "a b"}, [""]),
        (flags.SCALES, {"0.05,8": (0.05, 8.0)}, ["0.04", "1,1", "8.1", "nan", "1,nan", "", "1,x"]),
        (flags.PIXELS, {"1,4": (1, 4)}, ["0", "4,1", "2,2", "1.5", ""]),
        (flags.TILE, {"64": 64, "32760": 32760}, ["0", "56", "100", "32768", "x"]),
        (flags.KERNEL_WIDTH, {"0.01": 0.01, "1e6": 1e6}, ["0.009", "1000001", "nan", "x"]),
        (flags.KERNEL_WEIGHT, {"0": 0.0, "1e6": 1e6}, ["-1", "1000001", "nan", "inf"]),
        (flags.SHARE, {"0": 0.0, "1": 1.0}, ["-0.1", "1.1", "nan"]),
        (flags.FACTOR, {"1.3": 1.3}, ["1", "0", "nan", "inf"]),
        (flags.WHOLE, {"0": 0}, ["-1", "2147483648"]),
    ],
)
def test_flag_types(kind, good, bad):
    for text, value in good.items():
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)


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
    names -= {flag_of(parameter) for parameter in flags.CRF_FLAGS}
    fields = {field.name for each in settings for field in dataclasses.fields(each)}
    fields -= {"fresh_layers"}  # known from the weights
    fields -= {"ckpt"}  # the last of inference.py's paths
    assert names == fields
