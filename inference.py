#!/usr/bin/env python3
"""Segment pictures with a checkpoint: a palette PNG and the classes found for each."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.inference_flags import parser, settings_of
from deeplab_lfov.console import print_error
from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import DATA_SET, SOFTWARE, is_output, read_image
from deeplab_lfov.data.list_files import MASK_FOLDERS, SUFFIXES, pictures_in
from deeplab_lfov.data.palette import read_classes
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.inference.outputs import Outputs, check_scores_replaceable, plan_outputs
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.startup import start_tensorflow
from deeplab_lfov.voc import VOID

if TYPE_CHECKING:
    from deeplab_lfov.inference.predictor import Predictor
    from deeplab_lfov.inference.segmentation import Segmentation
    from deeplab_lfov.inference.settings import InferenceSettings

_FOLDERS_OF_MASKS = {*MASK_FOLDERS, "SegmentationObject"}


def main(flags: dict[str, object]) -> None:
    """Make settings of the flags that were given, and segment."""
    segment(settings_of(flags))


def segment(settings: InferenceSettings) -> None:
    """Segment as the settings say: pictures, outputs, network, loop.

    Raises UserError for what the user can put right.
    """
    _check_order(Path(settings.ckpt))
    images = find_images(settings.images)
    outputs = plan_outputs(settings, images)
    device = start_tensorflow(autotune=False)
    predictor = _predictor(settings)
    for output in filter(lambda output: output.scores, outputs):
        check_scores_replaceable(output.scores, predictor.model.num_classes)
    _print_plan(settings, predictor, device)
    failed = _segment(settings, predictor, list(zip(images, outputs, strict=True)))
    if failed:
        print(f"{failed} of {len(images)} pictures failed")
        sys.exit(1)


def _check_order(last: Path) -> None:
    """Raise UserError where the last path is no weights, but a picture or a folder of them."""
    what = ""
    if last.suffix.lower() in SUFFIXES and last.is_file():
        what = "is a picture"
    elif last.is_dir() and not any(last.glob("*.index")) and pictures_in(last):
        what = "holds pictures and no checkpoint"
    if what:
        raise UserError(f"{last} {what}; the weights come last: inference.py PICTURE... CKPT")


def find_images(patterns: Sequence[str]) -> list[Path]:
    """List the pictures that files, folders and globs stand for, in their order, each once.

    Raises UserError for one that stands for none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        here = _pictures(pattern)
        if not here:
            raise UserError(f"there is no picture {pattern}")
        found.update(dict.fromkeys(here))
    return list(found)


def _pictures(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        here = pictures_in(path)
    elif path.exists():
        check_regular(path)
        return [path]
    else:
        here = [Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file()]
    # Masks of an earlier run, or of a data set, may lie beside their pictures.
    stems = {p.with_suffix("") for p in here}
    return sorted(p for p in here if not _is_mask(p, stems))


def _is_mask(path: Path, stems: set[Path]) -> bool:
    """Tell masks from pictures: by their names beside others, their folders and their origin."""
    named = path.stem.removesuffix("_mask")
    of_another = named != path.stem and path.with_name(named) in stems
    in_voc = path.parent.name in _FOLDERS_OF_MASKS
    return of_another or in_voc or any(is_output(path, origin) for origin in (SOFTWARE, DATA_SET))


def _predictor(settings: InferenceSettings) -> Predictor:
    # These load TensorFlow, which --help need not wait for.
    from deeplab_lfov.distributed.devices import compute_deterministically
    from deeplab_lfov.inference.predictor import Predictor

    if settings.deterministic:
        compute_deterministically()
    predictor = Predictor(settings.ckpt, **settings.options())
    if settings.class_names:
        num_classes, stored = predictor.model.num_classes, predictor.classes
        predictor.classes = read_classes(settings.class_names, num_classes, stored)
    return predictor


def _print_plan(settings: InferenceSettings, predictor: Predictor, device: str) -> None:
    from deeplab_lfov.network.arithmetic import device_lines
    from deeplab_lfov.weights.formats import locate

    print(printable(f"network  {predictor.model}, from {locate(settings.ckpt)}"))
    if str(predictor):
        print(f"views    {predictor}")
    print("\n".join(device_lines(device, settings.precision)))


def _segment(
    settings: InferenceSettings, predictor: Predictor, pictures: list[tuple[Path, Outputs]]
) -> int:
    """Write and print what each picture becomes; return how many have failed and been named.

    One that fails alone is the error of the whole.
    """

    def begin(picture: tuple[Path, Outputs]) -> Segmentation:
        path, _ = picture
        with _naming(path):
            return predictor.segment(read_image(path))

    def finish(picture: tuple[Path, Outputs], segmentation: Segmentation) -> str:
        path, outputs = picture
        with _naming(path):
            labels = segmentation.labels(settings.min_confidence)
            outputs.write(
                segmentation, labels, settings.overlay, predictor.classes, settings.legend
            )
        written = ", ".join(str(file) for file in outputs if file)
        return printable(f"{path} -> {written}: {_shares(labels, predictor.class_names)}")

    failed = 0
    for finished in overlapped(pictures, begin, finish):
        try:
            print(finished.result(), flush=True)
        except UserError as error:
            if len(pictures) == 1:
                raise
            print_error(error)
            failed += 1
    return failed


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make every UserError one about the picture at `path`, and of a lack of memory too."""
    try:
        yield
    except MemoryError as error:
        from deeplab_lfov.inference.segmentation import SMALLER

        raise UserError(f"{path}: out of memory; {SMALLER}", path) from error
    except UserError as error:
        if error.path == path:
            raise
        raise UserError(f"{path}: {error}", path) from error


def _shares(labels: np.ndarray, class_names: tuple[str, ...]) -> str:
    shares = np.bincount(labels.ravel(), minlength=VOID + 1) / labels.size
    order = [label for label in np.argsort(-shares, kind="stable") if shares[label] > 0]
    names = {**dict(enumerate(class_names)), VOID: "void"}
    return ", ".join(f"{names[label]} {shares[label]:.1%}" for label in order)


if __name__ == "__main__":
    run(main, parser())
