#!/usr/bin/env python3
"""Segment pictures with a checkpoint: a palette PNG and the classes found for each."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import deeplab_lfov as lfov
from deeplab_lfov import cli, flags


def parser() -> cli.Parser:
    """The flags of inference.py."""
    p = cli.Parser("Segment pictures; writes <save_dir>/<picture>_mask.png for each.")
    p.add_argument("images", nargs="+", metavar="IMAGE", help="pictures, folders or globs")
    p.add_argument("ckpt", type=flags.PATH, metavar="CKPT", help="weights in any known format")
    p.add_argument("--class_names", type=flags.PATH, help="file that names a class in each line")
    flags.add_prediction_flags(p)
    group = p.add_argument_group("output")
    group.add_argument("--save_dir", type=flags.PATH, default="output", help="folder for the files")
    group.add_argument(
        "--overlay",
        type=flags.SHARE,
        metavar="SHARE",
        help="also <picture>_overlay.png, the picture under that much of the colours",
    )
    flags.add_flag(
        group, "legend", False, "name the colours below the overlay, which is 0.5 if not given"
    )
    flags.add_flag(group, "save_scores", False, "also <picture>_scores.npy, float32 [H, W, C]")
    return p


class Outputs(NamedTuple):
    """The files that one picture becomes; None for those that are not wanted."""

    mask: Path
    overlay: Path | None
    scores: Path | None


def main(args: argparse.Namespace) -> None:
    """Pictures, output, network, loop."""
    if args.legend and args.overlay is None:
        args.overlay = 0.5
    images = _expand(args.images)
    outputs = _outputs(args, images)
    device = cli.start_tensorflow()
    predictor = lfov.Predictor(args.ckpt, **flags.prediction_options(args))
    if args.class_names:
        names = lfov.data_list.read_class_names(args.class_names, predictor.model.num_classes)
        predictor.class_names = names
    for output in outputs:
        if output.scores:
            num_classes = predictor.model.num_classes
            lfov.score_files.check_scores_replaceable(output.scores, num_classes)
    print(f"network  {predictor.model}, from {lfov.weight_files.locate(args.ckpt)}")
    if str(predictor):
        print(f"views    {predictor}")
    print(f"device   {device}")
    _segment(args, predictor, images, outputs)


def _segment(
    args: argparse.Namespace,
    predictor: lfov.Predictor,
    images: list[Path],
    outputs: list[Outputs],
) -> None:
    """Write and print what each picture becomes; one that fails among many is named at its turn."""
    failed = 0
    for line, error in lfov.pipeline.one_behind(_begun(args, predictor, images, outputs)):
        if error and len(images) == 1:
            raise error
        if error:
            failed += 1
            cli.print_error(error)
        else:
            print(line, flush=True)
    if failed:
        print(f"{failed} of {len(images)} pictures failed")
        sys.exit(1)


def _begun(
    args: argparse.Namespace,
    predictor: lfov.Predictor,
    images: list[Path],
    outputs: list[Outputs],
) -> Iterator[Callable[[], tuple[str | None, lfov.UserError | None]]]:
    """Run the network on each picture, and yield what finishes it."""
    for path, output in zip(images, outputs, strict=True):
        try:
            with _naming(path):
                segmentation = predictor.segment(lfov.pictures.read_image(path))
        except lfov.UserError as error:
            yield partial(lambda error: (None, error), error)
        else:
            yield partial(_finish, args, predictor.class_names, segmentation, path, output)


def _finish(
    args: argparse.Namespace,
    class_names: tuple[str, ...],
    segmentation: lfov.segmentation.Segmentation,
    path: Path,
    output: Outputs,
) -> tuple[str | None, lfov.UserError | None]:
    """Write the files of one picture; returns the line that tells of it, or what went wrong."""
    try:
        with _naming(path):
            labels = segmentation.labels()
            lfov.pictures.write_mask(output.mask, labels)
            if output.overlay:
                names = class_names if args.legend else ()
                picture = segmentation.image
                lfov.visualize.save_overlay(output.overlay, picture, labels, args.overlay, names)
            if output.scores:
                lfov.score_files.write_scores(output.scores, segmentation)
    except lfov.UserError as error:
        return None, error
    written = ", ".join(str(file) for file in output if file)
    return f"{path} -> {written}: {_shares(labels, class_names)}", None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make a UserError that names the picture of one that does not, and of a lack of memory."""
    try:
        yield
    except MemoryError as error:
        raise lfov.UserError(f"{path}: out of memory; {lfov.predictor.SMALLER}") from error
    except lfov.UserError as error:
        if str(path) in str(error):
            raise
        raise lfov.UserError(f"{path}: {error}") from error


def _outputs(args: argparse.Namespace, images: list[Path]) -> list[Outputs]:
    """The pictures' files, none of which is anything else yet."""
    folder = lfov.files.writable_folder(args.save_dir)
    outputs = [
        Outputs(
            folder / f"{stem}_mask.png",
            None if args.overlay is None else folder / f"{stem}_overlay.png",
            folder / f"{stem}_scores.npy" if args.save_scores else None,
        )
        for stem in lfov.files.distinct_stems(images)
    ]
    for output in outputs:
        for file in filter(None, output[:2]):
            lfov.pictures.check_replaceable(file)
    return outputs


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
