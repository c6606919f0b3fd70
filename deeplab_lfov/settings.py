"""What settings are made of: fields that carry their help, and kinds of values that check them.

A settings class is a frozen dataclass whose fields `setting` makes; a parser is made of the same
fields, see `cli.flags`. What lies beyond a kind's bounds is a typing error.
"""

import argparse
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from deeplab_lfov.errors import UserError

PRECISIONS = ("float32", "tensorfloat32", "bfloat16", "float16")
"""What convolutions can compute in; see `network.arithmetic`."""


@dataclass(frozen=True)
class Kind:
    """The values that a setting may have: `accepts` tells them, `what` says it in words.

    parse makes a value of a flag's text; without it the flag is a switch, --x and --no-x.
    """

    parse: Callable[[str], object] | None
    accepts: Callable[[Any], object]
    what: str
    choices: tuple[str, ...] | None = None

    def allows(self, value: object) -> bool:
        """Tell whether a value, of whatever type, is of this kind."""
        try:
            return bool(self.accepts(value))
        except TypeError:  # it cannot be compared or counted
            return False

    def check(self, name: str, value: object) -> None:
        """Raise UserError for a value, of that name, that is of another kind."""
        if not self.allows(value):
            raise UserError(f"{name} must be {self.what}, got {value!r}")

    def __call__(self, text: str) -> object:
        """Make a value of a flag's text; raises ArgumentTypeError where it is of another kind."""
        try:
            value = self.parse(text)
        except ValueError:
            value = None
        if not self.allows(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {self.what}")
        return value


def setting(
    default: object, kind: Kind, help: str | None, names: tuple[str, ...] = (), **flag: object
) -> Any:
    """Make a field of a settings class; MISSING stands for no default.

    names: of its flag, beside --<field>; flag: what argparse is told of it beside kind and help.
    """
    facts = {"kind": kind, "help": help, "names": names, "flag": flag}
    return field(default=default, metadata=facts)


class Settings:
    """The base of settings classes; raises UserError for a value that is not of its field's kind.

    A default may be what the kind does not allow: None, say, for nothing.
    """

    def __post_init__(self):
        for each in fields(self):
            value, kind = getattr(self, each.name), each.metadata.get("kind")
            if kind and value is not each.default:
                kind.check(each.name, value)


def defaults_of(settings: type) -> dict[str, object]:
    """Return the defaults of a settings class by name; fields without one are left out."""
    return {f.name: f.default for f in fields(settings) if f.default is not MISSING}


def is_number(text: str) -> bool:
    """Tell whether a text is a number, or several with commas."""
    return bool(re.fullmatch(r"[-+]?[\d.]+([eE,][-+]?[\d.]+)*", text))


def _number(parse: type, accepts: Callable[[Any], object], what: str) -> Kind:
    """Make the kind of numbers that are accepted, Python's and numpy's, True being none."""
    abstract = Integral if parse is int else Real

    def is_one(value: object) -> object:
        return isinstance(value, abstract) and not isinstance(value, bool) and accepts(value)

    return Kind(parse, is_one, what)


def _between(parse: type, least: float, most: float, what: str) -> Kind:
    text = f"{what} from {least:.10g} to {most:.10g}"
    return _number(parse, lambda value: least <= value <= most, text)


def _several(each: Kind, accepts: Callable[[Any], object], what: str) -> Kind:
    """Make the kind of lists whose values are of a kind, and which are accepted."""

    def parse(text: str) -> tuple:
        return tuple(each.parse(part) for part in text.split(","))

    return Kind(parse, lambda them: all(map(each.allows, them)) and accepts(them), what)


def one_of(*choices: str) -> Kind:
    """Make the kind of a few words."""
    words = ", ".join(choices)
    return Kind(str, lambda value: value in choices, f"one of {words}", choices)


SWITCH = Kind(None, lambda value: isinstance(value, bool | np.bool_), "True or False")
PATH = Kind(str, bool, "a path: it is empty")
NAME = Kind(str, bool, "a name: it is empty")
COUNT = _between(int, 1, 2**31 - 1, "a whole number")
WHOLE = _between(int, 0, 2**31 - 1, "a whole number")
LABEL = _between(int, 0, 255, "a label")
NUM_CLASSES = _between(int, 1, 256, "a number of classes")
SHARE = _between(float, 0, 1, "a share")
THRESHOLD = Kind(
    lambda text: (text.rpartition("=")[0], float(text.rpartition("=")[2])),
    lambda pair: len(pair) == 2 and isinstance(pair[0], str) and pair[0] and SHARE.allows(pair[1]),
    "a class and a probability such as dog=0.3",
)
SHARE_BELOW_1 = _number(float, lambda x: 0 <= x < 1, "a share from 0 to below 1")
FACTOR = _number(float, lambda x: 1 < x <= 100, "a factor from above 1 to 100")
ABOVE_0 = _number(float, lambda x: 0 < x < float("inf"), "a number above 0")
NOT_NEGATIVE = _number(float, lambda x: 0 <= x < float("inf"), "a number from 0")
WIDTH = _number(float, lambda x: 0 < x <= 8 and x * 64 % 1 == 0, "a multiple of 1/64 up to 8")
TILE = _number(  # smaller ones would be nearly all margin
    int, lambda n: 64 <= n <= 32760 and n % 8 == 0, "a multiple of 8 from 64 to 32760"
)
ITERATIONS = _between(int, 0, 100_000, "a whole number")
KERNEL_WIDTH = _between(float, 0.01, 1e6, "a number")
KERNEL_WEIGHT = _between(float, 0, 1e6, "a number")  # sums and exponentials stay within float32
PRECISION = one_of(*PRECISIONS)

_SCALE = _between(float, 0.05, 8, "a scale")  # times the side of a picture
SCALES = _several(
    _SCALE,
    lambda them: 0 < len(them) == len(set(them)),
    "a list of different scales from 0.05 to 8 such as 0.5,0.75,1",
)
SCALE_RANGE = _several(
    _SCALE,
    lambda pair: len(pair) == 2 and pair[0] <= pair[1],
    "a smallest and largest scale, from 0.05 to 8, such as 0.75,1.25",
)
_PAIR = _several(COUNT, lambda pair: len(pair) == 2, "a height and width in pixels such as 97,161")
SIZE = replace(_PAIR, parse=lambda text: _PAIR.parse(text if "," in text else f"{text},{text}"))
NAMES = _several(NAME, bool, "a list of names such as pole,bicycle")
PIXELS = _several(
    _between(int, 1, 2**15 - 1, "a number of pixels"),
    lambda widths: list(widths) == sorted(set(widths)),
    "an ascending list of whole numbers of pixels such as 1,2,4",
)
DEVICES = Kind(
    lambda text: tuple(text.lower().split(",")),
    lambda names: (
        re.fullmatch(r"(cpu:\d{1,3},?)+|(gpu:\d{1,3},?)+", ",".join(names))
        and len(set(names)) == len(names)
    ),
    "a list of different devices of a kind such as gpu:0,gpu:1",
)
STRENGTHS = {"flip": (0.5, 1), "turn": (0.75, 1), "rotate": (10, 180), "color": (0.3, 1)}
STRENGTHS["blur"] = (1.5, 20)
"""By augmentation, the strength it has where none is given, and the highest: the share of the crops
(flip, turn), degrees, the share by which colors change, and pixels."""
AUGMENT = Kind(
    lambda text: {
        name: float(number or STRENGTHS.get(name, [0])[0])
        for name, _, number in (part.strip().partition("=") for part in text.split(","))
    },
    lambda them: all(name in STRENGTHS and 0 < them[name] <= STRENGTHS[name][1] for name in them),
    "a list of flip, turn, rotate, color and blur such as flip,rotate=15 with strengths of at most "
    + ", ".join(f"{name}={most}" for name, (_, most) in STRENGTHS.items()),
)
