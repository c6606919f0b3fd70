import argparse

import pytest

from deeplab_lfov import DenseCRF, UserError, flags


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
        (flags.SEED, {"0": 0}, ["-1", "2147483648"]),
    ],
)
def test_flag_types(kind, good, bad):
    for text, value in good.items():
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)


def test_the_help_names_the_defaults_of_the_crf():
    defaults = [default for _, default, _ in flags.CRF_FLAGS.values()]
    assert defaults == list(vars(DenseCRF()).values())


def test_flags_of_the_crf_make_the_crf():
    parser = argparse.ArgumentParser()
    flags.add_prediction_flags(parser)
    args = parser.parse_args(["--crf", "--bi_w", "7", "--crf_iterations", "3"])
    assert flags.prediction_options(args)["crf"] == DenseCRF(num_iterations=3, bi_w=7)
    assert flags.prediction_options(parser.parse_args([]))["crf"] is None
    with pytest.raises(UserError, match="add --crf"):
        flags.prediction_options(parser.parse_args(["--bi_w", "7"]))


def test_a_crf_makes_its_flags():
    crf = DenseCRF(num_iterations=12345, bi_xy_std=121 / 3, pos_xy_std=2.0)
    text = flags.crf_flags(crf, always=("bi_w",))
    assert text == "--crf --crf_iterations 12345 --bi_w 4 --bi_xy_std 40.3333333 --pos_xy_std 2"
