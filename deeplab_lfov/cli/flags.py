"""The flags that scripts share: their types, which check the values, and groups of them.

Defaults are those of the settings that the flags stand for; a parser's help shows them.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields

from deeplab_lfov import limits
from deeplab_lfov.crf.dense_crf import DenseCRF, flag_of
from deeplab_lfov.errors import UserError
from deeplab_lfov.network.layers import STRIDE, WIDTH_UNIT


def defaults_of(settings: type) -> dict[str, object]:
    """Return the defaults of a settings class by name; fields without one are left out."""
    return {f.name: f.default for f in fields(settings) if f.default is not MISSING}


def add_flag(group: argparse._ArgumentGroup, name: str, help: str) -> None:
    """Add the pair --name and --no-name to a parser or a group of its flags."""
    group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=help)


def add_list_flags(group: argparse._ArgumentGroup, own: str, voc: str) -> None:
    """Add --data_dir and --data_list."""
    group.add_argument(
        "--data_dir", type=PATH, help="folder of the data set, that the list's lines start from"
    )
    group.add_argument(
        "--data_list",
        type=PATH,
        help="lines '/image.jpg /mask.png' or VOC ids; looked for as named, then in data_dir; "
        f"default: {own} if data_dir has it, else VOC's {voc}",
    )


def add_label_flags(group: argparse._ArgumentGroup) -> None:
    """Add what says how masks hold labels: --ignore_label, --palette and --class_names."""
    group.add_argument(
        "--ignore_label", type=LABEL, help="value of the masks' void pixels; default: 255"
    )
    group.add_argument(
        "--palette",
        type=PATH,
        help="file with a class and its colour in each line: road 128 64 128, or voc; default: "
        "the data set's classes.txt, VOC's in VOC's folders",
    )
    group.add_argument("--class_names", type=PATH, help="file that names a class in each line")


def add_prediction_flags(parser: argparse.ArgumentParser) -> None:
    """Add what decides how pictures are segmented: views, sizes, precision and the CRF."""
    group = parser.add_argument_group("prediction")
    group.add_argument(
        "--scales", type=SCALES, help="sizes to look at each picture in, times its own"
    )
    add_flag(group, "flip", "look at each picture mirrored too; probabilities are averaged")
    group.add_argument(
        "--input_size",
        type=SIZE,
        help="pad every picture to this height,width with the mean, as the authors did (513,513)",
    )
    group.add_argument(
        "--max_side", type=COUNT, help="shrink larger pictures to this for the network"
    )
    group.add_argument(
        "--tile",
        type=TILE,
        metavar="SIDE",
        help="take pictures of any size in pieces of so many pixels, such as 512: same scores",
    )
    group.add_argument(
        "--precision",
        choices=limits.PRECISIONS,
        help="what convolutions compute in; tensorfloat32 is float32 but on NVIDIA's GPUs from "
        "Ampere on, which are faster in it and less exact",
    )
    add_flag(
        group, "deterministic", "the same bits every time on devices of one kind; slower on GPUs"
    )
    add_flag(group, "crf", "refine the masks with a dense CRF")
    for parameter, (kind, text) in CRF_FLAGS.items():
        default = getattr(DenseCRF, parameter)
        group.add_argument(
            f"--{flag_of(parameter)}", type=kind, help=f"{text}; default: {default:g}"
        )


def prediction_settings(flags: Mapping[str, object], crf: bool = False) -> dict[str, object]:
    """Return the flags, with those of the CRF replaced by `crf`, a DenseCRF or None.

    crf: turn it on whatever the flag says. Raises UserError for a parameter of the CRF without it.
    """
    rest, parameters = dict(flags), {}
    for parameter in CRF_FLAGS:
        if (flag := flag_of(parameter)) in rest:
            parameters[parameter] = rest.pop(flag)
    if rest.pop("crf", False) or crf:
        return rest | {"crf": DenseCRF(**parameters)}
    if parameters:
        first = flag_of(next(iter(parameters)))
        raise UserError(f"--{first} is a parameter of the CRF; add --crf to use it")
    return rest


def checked(kind: Callable[[str], object], accepts: Callable, what: str) -> Callable[[str], object]:
    """Make a flag type: `kind` of the text if `accepts` allows it, else an error with `what`."""

    def parse(text: str) -> object:
        try:
            value = kind(text)
            if accepts(value):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")

    return parse


def _lies(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _number(kind: type, limits: tuple[float, float]) -> Callable[[str], object]:
    what = "a whole number" if kind is int else "a number"
    text = "{} from {:g} to {:g}".format(what, *limits)
    return checked(kind, lambda value: _lies(value, limits), text)


def _several(kind: Callable[[str], object]) -> Callable[[str], tuple]:
    return lambda text: tuple(kind(part) for part in text.split(","))


COUNT = checked(int, lambda n: 1 <= n < 2**31, "a whole number from 1 to 2147483647")
PATH = checked(str, bool, "a path: it is empty")
WHOLE = checked(int, lambda n: 0 <= n < 2**31, "a whole number from 0 to 2147483647")
NUM_CLASSES = checked(int, lambda n: 1 <= n <= 256, "a number of classes from 1 to 256")
LABEL = checked(int, lambda n: 0 <= n <= 255, "a label from 0 to 255")
RATE = checked(float, lambda x: 0 < x < float("inf"), "a number above 0")
WIDTH = checked(
    float, lambda x: 0 < x <= 8 and x * WIDTH_UNIT % 1 == 0, "a multiple of 1/64 up to 8"
)
NOT_NEGATIVE = checked(float, lambda x: 0 <= x < float("inf"), "a number from 0")
DROPOUT = checked(float, lambda x: 0 <= x < 1, "a share from 0 to below 1")
SIZE = checked(
    _several(int),
    lambda p: len(p) == 2 and min(p) >= 1,
    "a height and width in pixels such as 321,321",
)
SCALE_RANGE = checked(
    _several(float),
    lambda p: len(p) == 2 and p[0] <= p[1] and all(_lies(x, limits.SCALE) for x in p),
    "a smallest and largest scale, from {} to {}, such as 0.75,1.25".format(*limits.SCALE),
)
SCALES = checked(
    _several(float),
    lambda s: all(_lies(x, limits.SCALE) for x in s) and len(set(s)) == len(s),
    "a list of different scales from {} to {} such as 0.5,0.75,1".format(*limits.SCALE),
)
PIXELS = checked(
    _several(int),
    lambda widths: all(1 <= w < 2**15 for w in widths) and list(widths) == sorted(set(widths)),
    "an ascending list of whole numbers of pixels such as 1,2,4",
)
TILE = checked(
    int,
    lambda n: _lies(n, limits.TILE) and n % STRIDE == 0,
    "a multiple of 8 from {} to {}".format(*limits.TILE),
)
SHARE = checked(float, lambda x: 0 <= x <= 1, "a share from 0 to 1")
FACTOR = checked(float, lambda x: 1 < x <= 100, "a factor from above 1 to 100")
ITERATIONS = _number(int, limits.ITERATIONS)
KERNEL_WIDTH = _number(float, limits.KERNEL_WIDTH)
KERNEL_WEIGHT = _number(float, limits.KERNEL_WEIGHT)

DEVICES = checked(
    lambda text: tuple(text.lower().split(",")),
    lambda names: (
        re.fullmatch(r"(cpu:\d{1,3},?)+|(gpu:\d{1,3},?)+", ",".join(names))
        and len(set(names)) == len(names)
    ),
    "a list of different devices of a kind such as gpu:0,gpu:1",
)

CRF_FLAGS = {
    "num_iterations": (ITERATIONS, "iterations of mean field"),
    "bi_w": (KERNEL_WEIGHT, "weight of the bilateral kernel"),
    "bi_xy_std": (KERNEL_WIDTH, "its width in pixels"),
    "bi_rgb_std": (KERNEL_WIDTH, "its width in grey levels"),
    "pos_w": (KERNEL_WEIGHT, "weight of the smoothness kernel"),
    "pos_xy_std": (KERNEL_WIDTH, "its width in pixels"),
}
"""Types and meanings of the CRF's flags, by the parameter of DenseCRF that each sets."""
