"""What values settings may have."""

import argparse
import dataclasses

import numpy as np
import pytest

from deeplab_lfov import UserError, settings
from deeplab_lfov.settings import COUNT, SWITCH, Settings, setting


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("COUNT", {"7": 7}, ["0", "-1", "1.5", "x", "", "2147483648"]),
        (
            "SIZE",
            {"321,417": (321, 417), "161": (161, 161)},
            ["0", "0,5", "3,4,5", "a,b", "", "5,"],
        ),
        ("NAMES", {"pole,traffic sign": ("pole", "traffic sign")}, ["", "a,"]),
        (
            "AUGMENT",
            {"flip, rotate=15,blur": {"flip": 0.5, "rotate": 15.0, "blur": 1.5}},
            ["", "hue", "color=0", "rotate=181", "blur=nan", "flip=x", "flip,", "turn=-1"],
        ),
        ("SCALE_RANGE", {"0.5,1": (0.5, 1.0)}, ["1,0.5", "0,1", "1", "nan,nan", "1,inf"]),
        ("ABOVE_0", {"1e-4": 1e-4}, ["0", "-1", "nan", "inf", "x"]),
        ("NOT_NEGATIVE", {"0": 0.0}, ["-1", "nan", "inf"]),
        ("WIDTH", {"0.25": 0.25}, ["0", "0.1", "9", "nan", "inf"]),
        ("SHARE_BELOW_1", {"0": 0.0, "0.5": 0.5}, ["1", "-0.1", "nan"]),
        ("LABEL", {"255": 255}, ["-1", "256"]),
        ("NUM_CLASSES", {"1": 1, "256": 256}, ["0", "257"]),
        ("PATH", {"a b": "a b"}, [""]),
        ("SCALES", {"0.05,8": (0.05, 8.0)}, ["0.04", "1,1", "8.1", "nan", "1,nan", "", "1,x"]),
        ("PIXELS", {"1,4": (1, 4)}, ["0", "4,1", "2,2", "1.5", ""]),
        ("TILE", {"64": 64, "32760": 32760}, ["0", "56", "100", "32768", "x"]),
        ("KERNEL_WIDTH", {"0.01": 0.01, "1e6": 1e6}, ["0.009", "1000001", "nan", "x"]),
        ("KERNEL_WEIGHT", {"0": 0.0, "1e6": 1e6}, ["-1", "1000001", "nan", "inf"]),
        ("SHARE", {"0": 0.0, "1": 1.0}, ["-0.1", "1.1", "nan"]),
        ("FACTOR", {"1.3": 1.3}, ["1", "0", "nan", "inf"]),
        ("WHOLE", {"0": 0}, ["-1", "2147483648"]),
        ("DEVICES", {"GPU:0,gpu:1": ("gpu:0", "gpu:1")}, ["", "gpu", "cpu:0,gpu:0", "cpu:0,cpu:0"]),
    ],
)
def test_kinds_of_texts(kind, good, bad):
    kind = getattr(settings, kind)
    for text, value in good.items():
        assert kind(text) == value and type(kind(text)) is type(value) and kind.allows(value)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)


def test_values_of_other_types_are_not_allowed():
    for value in (True, "1", None, 1.0, (1,), np.float32(1)):
        assert not COUNT.allows(value)
    assert COUNT.allows(np.int64(1)) and SWITCH.allows(np.bool_(True)) and not SWITCH.allows(1)


def test_settings_are_checked_but_for_their_defaults():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Cups(Settings):
        count: int | None = setting(None, COUNT, "how many")

    assert Cups().count is None and Cups(count=3).count == 3
    with pytest.raises(UserError, match="count must be a whole number from 1 to .*, got 0"):
        Cups(count=0)
