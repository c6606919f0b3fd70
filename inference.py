#!/usr/bin/env python3
"""Segment pictures with a checkpoint: a palette PNG and the classes found for each."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

import numpy as np

import deeplab_lfov as lfov
from deeplab_lfov import cli


def parser() -> cli.Parser:
    """The flags of inference.py."""
    p = cli.Parser("Segment pictures; writes <save_dir>/<picture>_mask.png for each.")
    p.add_argument("images", nargs="+", metavar="IMAGE", help="pictures, folders or globs")
    p.add_argument("ckpt", type=cli.PATH, metavar="CKPT", help="weights in any known format")
    p.add_argument("--save_dir", type=cli.PATH, default="output", help="folder for the masks")
    p.add_argument("--class_names", type=cli.PATH, help="file that names a class in each line")
    return p


def main(args: argparse.Namespace) -> None:
    """Pictures, output, model, loop."""
    images = _expand(args.images)
    folder = lfov.files.writable_folder(args.save_dir)
    masks = [folder / f"{stem}_mask.png" for stem in lfov.files.distinct_stems(images)]
    for mask in masks:
        lfov.pictures.check_replaceable(mask)

    device = cli.start_tensorflow()
    model, class_names = lfov.load_model(args.ckpt)
    if args.class_names:
        class_names = lfov.data_list.read_class_names(args.class_names, model.num_classes)
    predictor = lfov.Predictor(model)
    print(
        f"network  {model.num_parameters:,} parameters, {model.num_classes} classes, "
        f"width {model.width:g}, from {lfov.weight_files.locate(args.ckpt)}"
    )
    print(f"device   {device}")

    for image, mask in zip(images, masks, strict=True):
        labels = predictor(lfov.pictures.read_image(image))
        lfov.pictures.write_mask(mask, labels)
        print(f"{image} -> {mask}: {_shares(labels, class_names)}", flush=True)


def _expand(patterns: list[str]) -> list[Path]:
    """The pictures that the arguments stand for, in their order, each once."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_file():
            here = [path]
        elif path.is_dir():
            here = [p for p in path.iterdir() if p.suffix.lower() in lfov.data_list.SUFFIXES]
        else:
            here = [Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file()]
        if not path.is_file():  # masks of an earlier run may lie beside their pictures
            here = sorted(p for p in here if not lfov.pictures.is_output(p))
        if not here:
            raise lfov.UserError(f"there is no picture {pattern}")
        found.update(dict.fromkeys(here))
    return list(found)


def _shares(labels: np.ndarray, class_names: tuple[str, ...]) -> str:
    shares = np.bincount(labels.ravel(), minlength=len(class_names)) / labels.size
    order = [label for label in np.argsort(-shares, kind="stable") if shares[label] > 0]
    return ", ".join(f"{class_names[label]} {shares[label]:.1%}" for label in order)


if __name__ == "__main__":
    cli.run(main, parser())
