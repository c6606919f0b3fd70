#!/usr/bin/env python3
"""Read every picture and mask of a list as training would, and tell what is wrong with them."""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import deeplab_lfov as lfov
from deeplab_lfov import cli, flags


def parser() -> cli.Parser:
    """The flags of check_dataset.py."""
    p = cli.Parser("Tell what is in a list; exit status 0 where training would run, 2 otherwise.")
    p.add_argument("data_list", metavar="LIST", help="as for train.py's --data_list")
    p.add_argument(
        "--data_dir", type=flags.PATH, default=".", help="folder that the list's lines start from"
    )
    p.add_argument("--num_classes", type=flags.NUM_CLASSES, help="default: the names', else 21")
    flags.add_label_flags(p)
    p.add_argument(
        "--against",
        type=flags.PATH,
        metavar="LIST",
        help="report pictures that are in this list too",
    )
    return p


def main(args: argparse.Namespace) -> None:
    """Lists, names, reading, report."""
    samples = lfov.data_list.parse_list(args.data_dir, args.data_list)
    others = lfov.data_list.parse_list(args.data_dir, args.against) if args.against else []
    palette = lfov.palette.read_palette(args.palette)
    names = lfov.palette.names(args.class_names, palette, args.num_classes)
    names = names or lfov.voc.class_names_of(args.num_classes or 21)

    def labels_of(mask: Path) -> np.ndarray:
        return lfov.pictures.read_mask(mask, len(names), args.ignore_label, palette)

    found = cli.progress(lfov.dataset_check.find(samples, labels_of), len(samples), "pictures")
    report = lfov.dataset_check.Report(names, list(found))
    print(report)
    if args.against:
        both = lfov.dataset_check.in_both(samples, others)
        print(f"{len(both)} pictures are in {args.against} too: {lfov.errors.few(both)}")
    if report.faults:
        raise lfov.UserError(
            f"training would stop at {len(report.faults)} of {len(samples)} pictures; see the "
            "faults above"
        )


if __name__ == "__main__":
    cli.run(main, parser())
