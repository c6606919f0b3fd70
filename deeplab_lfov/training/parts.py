"""The settings of a run by what they are about: what it learns from, its network, what it leaves.

Those of the solver are `solver.settings`. Sizes are (height, width) in pixels.
"""

from dataclasses import MISSING, dataclass

from deeplab_lfov.data.settings import DataSettings
from deeplab_lfov.network.layers import layers_to
from deeplab_lfov.settings import (
    AUGMENT,
    COUNT,
    DEVICES,
    NAMES,
    NUM_CLASSES,
    PATH,
    PRECISION,
    SCALE_RANGE,
    SHARE,
    SHARE_BELOW_1,
    SIZE,
    SWITCH,
    WIDTH,
    Settings,
    one_of,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings(DataSettings):
    """How images of the data set become crops."""

    input_size: tuple[int, int] = setting((321, 321), SIZE, "height,width of crops, or one number")
    order_by: str = setting("philox", one_of("philox", "index_shuffle"), None)  # of older runs
    random_scale: bool = setting(True, SWITCH, "resize each picture by a random factor")
    scale_range: tuple[float, float] = setting((0.75, 1.25), SCALE_RANGE, "its least and most")
    random_mirror: bool = setting(
        MISSING, SWITCH, "swap left and right of every second picture; see --recipe"
    )
    augment: dict[str, float] | None = setting(
        None, AUGMENT, "of flip (upside down), turn (quarters), rotate=10, color=0.3, blur=1.5"
    )
    rare_crops: float = setting(0.0, SHARE, "share of crops cut where rare classes are: 0.33, say")
    rare_classes: tuple[str, ...] | None = setting(
        None, NAMES, "such as pole,sign; default: those with less than half the average's pixels"
    )


@dataclass(frozen=True, kw_only=True)
class CropSettings(AugmentationSettings):
    """What a run learns from, and on which other images it is measured."""

    num_classes: int = setting(MISSING, NUM_CLASSES, "default: as in the weights, else 21")
    check_data: bool = setting(True, SWITCH, "look at every mask before a run begins")
    batch_size: int = setting(MISSING, COUNT, "crops in a pass, over all devices; see --recipe")
    class_weights: str | None = setting(
        None,
        PATH,
        "'balanced' (inverse to a class's pixels), 'sqrt' (inverse to their root), 'none', or a "
        "file with a class's weight in each line",
    )
    val_list: str | None = setting(
        None,
        PATH,
        "list to measure the mean IoU on during training; default: val.txt beside a train.txt that "
        "was found, else none",
    )
    val_every: int = setting(1000, COUNT, "steps between two measurements")
    patience: int | None = setting(None, COUNT, "end after so many measurements without a new best")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """Which network is trained, from what, and on what it computes.

    freeze is None where all layers are trained.
    """

    restore_from: str | None = setting(
        None,
        PATH,
        "weights to start from, in any known format; default: random filters",
        names=("--weights_path",),
        metavar="CKPT",
    )
    not_restore_last: bool = setting(False, SWITCH, "start the last layer afresh for other classes")
    freeze: str | None = setting(
        None,
        one_of(*layers_to("conv5_3"), "none"),
        "keep the weights of the layers up to this one, such as conv2_2; none trains all",
        metavar="LAYER",
    )
    width: float = setting(MISSING, WIDTH, "share of VGG-16's channels; default: weights', else 1")
    dropout: float = setting(0.5, SHARE_BELOW_1, "share of fc6's and fc7's outputs dropped")
    precision: str = setting(
        "tensorfloat32",
        PRECISION,
        "what convolutions compute in; tensorfloat32 is float32 but on NVIDIA's GPUs from Ampere "
        "on; float16 (for GPUs) scales the loss",
    )
    devices: tuple[str, ...] | None = setting(
        None,
        DEVICES,
        "devices that share each batch, such as gpu:0,gpu:1; default: all GPUs, else the CPU",
    )
    deterministic: bool = setting(
        False,
        SWITCH,
        "the same bits every time on devices of one kind, as many of them, and after every resume; "
        "slower",
    )


@dataclass(frozen=True, kw_only=True)
class RecordSettings(Settings):
    """What a run leaves on disk, and how often."""

    snapshot_dir: str = setting("snapshots", PATH, "folder for checkpoints, history and events")
    resume: bool = setting(
        False,
        SWITCH,
        "go on with the run in snapshot_dir, with its settings; --num_steps, --epochs and "
        "--learning_rate may be others",
    )
    save_pred_every: int = setting(500, COUNT, "steps between checkpoints")
    max_to_keep: int = setting(5, COUNT, "how many of the newest are kept")
    save_dir: str | None = setting(None, PATH, "folder for figures; default: snapshot_dir/images")
    save_num_images: int = setting(2, COUNT, "rows of a figure")
