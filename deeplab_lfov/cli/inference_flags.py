"""The flags of inference.py."""

from collections.abc import Mapping

from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.inference.find_images import split_weights
from deeplab_lfov.inference.settings import InferenceSettings
from deeplab_lfov.settings import PATH, defaults_of
from deeplab_lfov.weights.eight_bits import PRETRAINED


def parser() -> Parser:
    """Make the parser of inference.py."""
    description = "Segment pictures; writes <save_dir>/<picture>_mask.png for each."
    p = Parser(description, defaults_of(InferenceSettings))
    p.add_argument(
        "images",
        nargs="+",
        type=PATH,
        metavar="PATH",
        help="pictures, folders or globs; then the weights, in any known format, or a run's folder "
        "for its best; without weights the network that comes along is taken",
    )
    flags.add_prediction_flags(p)
    flags.add_flags(p.add_argument_group("output"), InferenceSettings)
    return p


def settings_of(given: Mapping[str, object]) -> InferenceSettings:
    """Make settings of the flags that were given; raises UserError for some that do not fit."""
    images, ckpt = split_weights(given["images"])
    paths = {"images": tuple(images), "ckpt": ckpt or str(PRETRAINED)}
    return InferenceSettings(**flags.prediction_settings(given) | paths)
