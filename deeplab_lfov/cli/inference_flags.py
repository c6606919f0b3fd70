"""The flags of inference.py."""

from collections.abc import Mapping

from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.inference.find_images import split_weights
from deeplab_lfov.inference.settings import InferenceSettings
from deeplab_lfov.weights.pretrained import PRETRAINED


def parser() -> Parser:
    """Make the parser of inference.py."""
    description = "Segment pictures; writes <save_dir>/<picture>_mask.png for each."
    p = Parser(description, flags.defaults_of(InferenceSettings) | {"crf": False})
    p.add_argument(
        "images",
        nargs="+",
        type=flags.PATH,
        metavar="PATH",
        help="pictures, folders or globs; then the weights, in any known format, or a run's folder "
        "for its best; without weights the network that comes along is taken",
    )
    p.add_argument("--class_names", type=flags.PATH, help="file that names a class in each line")
    flags.add_prediction_flags(p)
    group = p.add_argument_group("output")
    group.add_argument("--save_dir", type=flags.PATH, help="folder for the files")
    group.add_argument(
        "--overlay",
        type=flags.SHARE,
        metavar="SHARE",
        help="also <picture>_overlay.png, the picture under that much of the colours",
    )
    group.add_argument(
        "--min_confidence",
        type=flags.SHARE,
        metavar="SHARE",
        help="write void where the most probable class is less probable than that, such as 0.9",
    )
    flags.add_flag(group, "legend", "name the colours below the overlay, which is 0.5 if not given")
    group.add_argument(
        "--json",
        type=flags.PATH,
        metavar="FILE",
        help="file for each picture's shares of classes",
    )
    flags.add_flag(group, "save_scores", "also <picture>_scores.npy, float32 [H, W, C]")
    return p


def settings_of(given: Mapping[str, object]) -> InferenceSettings:
    """Make settings of the flags that were given; raises UserError for some that do not fit."""
    images, ckpt = split_weights(given["images"])
    paths = {"images": tuple(images), "ckpt": ckpt or str(PRETRAINED)}
    return InferenceSettings(**flags.prediction_settings(given) | paths)
