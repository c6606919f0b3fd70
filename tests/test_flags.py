import argparse

import pytest

from deeplab_lfov import flags


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (flags.COUNT, {"7": 7}, ["0", "-1", "1.5", "x", ""]),
        (flags.SIZE, {"321,417": (321, 417)}, ["321", "0,5", "3,4,5", "a,b", ""]),
        (flags.SCALE_RANGE, {"0.5,1": (0.5, 1.0)}, ["1,0.5", "0,1", "1", "nan,nan", "1,inf"]),
        (flags.RATE, {"1e-4": 1e-4}, ["0", "-1", "nan", "inf", "x"]),
        (flags.WIDTH, {"0.25": 0.25}, ["0", "0.1", "9", "nan", "inf"]),
        (flags.DROPOUT, {"0": 0.0, "0.5": 0.5}, ["1", "-0.1", "nan"]),
        (flags.LABEL, {"255": 255}, ["-1", "256"]),
        (flags.NUM_CLASSES, {"1": 1, "256": 256}, ["0", "257"]),
        (flags.PATH, {"a b": "a b"}, [""]),
        (flags.SEED, {"0": 0}, ["-1", "2147483648"]),
    ],
)
def test_flag_types(kind, good, bad):
    for text, value in good.items():
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)
