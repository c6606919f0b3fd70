"""The flags of train.py, in groups; their defaults are the configuration."""

import argparse

from deeplab_lfov import limits
from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser
from deeplab_lfov.network.layers import layers_to
from deeplab_lfov.training.settings import RECIPES, TrainSettings


def parser() -> Parser:
    """Make the parser of train.py; flags without a default are as the recipe says."""
    description = "Train DeepLab-LargeFOV; writes model.ckpt-<steps done>, figures and history."
    p = Parser(description, flags.defaults_of(TrainSettings))
    _add_data_flags(p.add_argument_group("data"))
    _add_network_flags(p.add_argument_group("network"))
    _add_solver_flags(p.add_argument_group("solver; without a default: as the recipe says"))
    _add_output_flags(p.add_argument_group("output"))
    return p


def _add_data_flags(group: argparse._ArgumentGroup) -> None:
    flags.add_list_flags(group, "train.txt", "train_aug.txt")
    flags.add_label_flags(group)
    group.add_argument(
        "--num_classes", type=flags.NUM_CLASSES, help="default: as in the weights, else 21"
    )
    flags.add_flag(group, "check_data", "look at every mask before a run begins")
    group.add_argument("--input_size", type=flags.SIZE, help="height,width of crops in pixels")
    flags.add_flag(group, "random_scale", "resize each picture by a random factor")
    group.add_argument("--scale_range", type=flags.SCALE_RANGE, help="smallest and largest factor")
    flags.add_flag(
        group, "random_mirror", "swap left and right of every second picture; see --recipe"
    )
    group.add_argument(
        "--val_list",
        type=flags.PATH,
        help="list to measure the mean IoU on during training; default: val.txt beside a train.txt "
        "that was found, else none",
    )
    group.add_argument("--val_every", type=flags.COUNT, help="steps between two measurements")
    group.add_argument(
        "--patience", type=flags.COUNT, help="end after so many measurements without a new best"
    )


def _add_network_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--restore_from",
        "--weights_path",
        type=flags.PATH,
        metavar="CKPT",
        help="weights to start from, in any known format; default: random filters",
    )
    flags.add_flag(group, "not_restore_last", "start the last layer afresh, for other classes")
    group.add_argument(
        "--freeze",
        choices=(*layers_to("conv5_3"), "none"),
        metavar="LAYER",
        help="keep the weights of the layers up to this one, such as conv2_2; none trains all",
    )
    group.add_argument(
        "--width",
        type=flags.WIDTH,
        help="share of VGG-16's channels; default: the weights', else 1",
    )
    group.add_argument(
        "--dropout",
        type=flags.DROPOUT,
        help="share of fc6's and fc7's outputs dropped",
    )
    group.add_argument(
        "--precision",
        choices=limits.PRECISIONS,
        help="what convolutions compute in; tensorfloat32 is float32 but on NVIDIA's GPUs from "
        "Ampere on; float16 (for GPUs) scales the loss",
    )


def _add_solver_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="defaults for the flags below, and mirror: the first TensorFlow version's, "
        "arXiv 1412.7062's, arXiv 1606.00915's; scratch is for random filters, finetune for an "
        "ImageNet VGG-16 (and sets --freeze, --val_every, --save_pred_every), and few pictures",
    )
    group.add_argument("--optimizer", choices=("adam", "sgd"), help="adam, or sgd with momentum")
    group.add_argument("--learning_rate", type=flags.RATE, help="before policy and multipliers")
    group.add_argument("--lr_policy", choices=("fixed", "step", "poly"), help="how the rate falls")
    steps = group.add_mutually_exclusive_group()
    steps.add_argument("--num_steps", type=flags.COUNT, help="updates to train")
    steps.add_argument(
        "--epochs", type=flags.RATE, help="instead: how often to go through the list"
    )
    group.add_argument("--batch_size", type=flags.COUNT, help="crops in a pass, over all devices")
    group.add_argument("--iter_size", type=flags.COUNT, help="passes in an update, to save memory")
    group.add_argument("--power", type=flags.RATE, help="exponent of the policy poly")
    group.add_argument(
        "--step_size", type=flags.COUNT, help="steps until the rate drops, in the policy step"
    )
    group.add_argument("--gamma", type=flags.RATE, help="what the rate is multiplied by then")
    group.add_argument(
        "--warmup_steps", type=flags.WHOLE, help="steps in which the rate rises from 0"
    )
    group.add_argument(
        "--momentum", type=flags.DROPOUT, help="share of its last update that sgd adds"
    )
    group.add_argument(
        "--weight_decay", type=flags.NOT_NEGATIVE, help="decay of the filters, times the rate"
    )
    group.add_argument(
        "--head_lr_mult",
        type=flags.NOT_NEGATIVE,
        help="multiplies the rate of the last layer; in finetune, of the random ones too",
    )
    group.add_argument(
        "--bias_lr_mult", type=flags.NOT_NEGATIVE, help="multiplies the biases' rate"
    )
    group.add_argument(
        "--class_weights",
        type=flags.PATH,
        help="'balanced' (inverse to a class's pixels), 'sqrt' (inverse to their root), 'none', or "
        "a file with a class's weight in each line",
    )
    group.add_argument("--seed", type=flags.WHOLE, help="decides every random draw")
    group.add_argument(
        "--devices",
        type=flags.DEVICES,
        help="devices that share each batch, such as gpu:0,gpu:1; default: all GPUs, else the CPU",
    )
    flags.add_flag(
        group,
        "deterministic",
        "the same bits every time on devices of one kind, as many of them, and after every resume; "
        "slower",
    )


def _add_output_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--snapshot_dir",
        type=flags.PATH,
        help="folder for checkpoints, history and events",
    )
    flags.add_flag(
        group,
        "resume",
        "go on with the run in snapshot_dir, with its settings; --num_steps, --epochs and "
        "--learning_rate may be others",
    )
    group.add_argument("--save_pred_every", type=flags.COUNT, help="steps between checkpoints")
    group.add_argument("--max_to_keep", type=flags.COUNT, help="how many of the newest are kept")
    group.add_argument(
        "--save_dir", type=flags.PATH, help="folder for figures; default: snapshot_dir/images"
    )
    group.add_argument("--save_num_images", type=flags.COUNT, help="rows of a figure")
