"""The flags of evaluate.py."""

import argparse

from deeplab_lfov import cli, flags
from deeplab_lfov.errors import UserError


def parser() -> cli.Parser:
    """The flags of evaluate.py; `check_modes` knows which exclude each other."""
    p = cli.Parser("Measure the mean IoU of a checkpoint on pictures with masks.")
    flags.add_list_flags(p, "ImageSets/Segmentation/val.txt")
    flags.add_label_flags(p)
    p.add_argument(
        "--restore_from",
        "--weights_path",
        type=flags.PATH,
        metavar="CKPT",
        required=True,
        help="weights to measure",
    )
    p.add_argument(
        "--num_steps", type=flags.COUNT, help="pictures to take; default: the whole list"
    )
    flags.add_prediction_flags(p)
    _add_outputs(p.add_argument_group("output"))
    return p


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--save_dir", type=flags.PATH, help="folder for the masks, <picture>.png")
    group.add_argument(
        "--json", type=flags.PATH, metavar="FILE", help="file for the numbers, as fractions"
    )
    group.add_argument(
        "--report", type=flags.PATH, metavar="DIR", help="folder for index.html: numbers, pictures"
    )
    group.add_argument(
        "--trimap",
        type=flags.PIXELS,
        metavar="PIXELS",
        help="also the mean IoU within so many pixels of a boundary, such as 1,2,4,8,16",
    )
    group.add_argument(
        "--crf_search",
        type=flags.FACTOR,
        nargs="?",
        const=2.0,
        metavar="FACTOR",
        help="instead: each bilateral parameter of the CRF divided by it (2), as is, and times it",
    )
    group.add_argument(
        "--voc_submission",
        type=flags.PATH,
        metavar="ZIP",
        help="instead: masks for VOC's test server, of a list without masks",
    )


def check_modes(args: argparse.Namespace, alone: bool) -> None:
    """Raise UserError for flags that exclude each other; a search turns the CRF on.

    alone: whether this process is the only worker.
    """
    if args.voc_submission and not alone:
        raise UserError("--voc_submission is for one process; start it without TF_CONFIG")
    metric = {name for name in ("json", "report", "trimap") if getattr(args, name)}
    if args.voc_submission and (metric or args.crf_search):
        flag = "crf_search" if args.crf_search else min(metric)
        raise UserError(f"--voc_submission measures nothing; leave out --{flag}")
    if args.crf_search and (metric or args.save_dir):
        flag = min(metric or {"save_dir"})
        raise UserError(f"--crf_search only prints its table; leave out --{flag}")
    if args.crf_search and args.tile:
        raise UserError(
            "--crf_search and --tile exclude each other, as --crf and --tile do; use --max_side"
        )
    args.crf = args.crf or bool(args.crf_search)
