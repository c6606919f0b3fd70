#!/usr/bin/env python3
"""Export a checkpoint as a SavedModel, as TFLite for one size of pictures, or in 8 bits."""

from __future__ import annotations

import sys
from argparse import BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.data.class_files import read_classes
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.files import writable_folder
from deeplab_lfov.settings import PATH, SIZE
from deeplab_lfov.startup import start_tensorflow

if TYPE_CHECKING:
    from deeplab_lfov.weights.checkpoints import Fit
    from deeplab_lfov.weights.formats import StoredTensors

OPTIONAL = dict.fromkeys(("tflite", "int8", "about", "class_names"))


def parser() -> Parser:
    """Make the parser of export.py."""
    p = Parser("Export a checkpoint for programs without this code.")
    p.add_argument("ckpt", type=PATH, metavar="CKPT", help="weights in any known format")
    p.add_argument("folder", type=PATH, metavar="DIR", help="folder for what is exported")
    p.add_argument(
        "--tflite", type=SIZE, metavar="SIZE", help="also model.tflite for this height,width"
    )
    help = "instead: weights_int8.npz, filters in 8 bits for this program"
    p.add_argument("--int8", action=BooleanOptionalAction, help=help)
    p.add_argument(
        "--about", help="what weights_int8.npz says of itself, such as what it was trained on"
    )
    p.add_argument("--class_names", type=PATH, help="file that names a class in each line")
    return p


def main(given: dict[str, object]) -> None:
    """Check the output, load the network, write the exports."""
    settings = Namespace(**OPTIONAL | given)
    if settings.int8 and settings.tflite:
        raise UserError("--int8 writes weights and no network; leave out --tflite")
    if settings.about and not settings.int8:
        raise UserError("--about does nothing without --int8; add that or leave it out")
    start_tensorflow()
    from deeplab_lfov.inference.export import Segmenter, check_free, save_model, save_tflite
    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.weights.checkpoints import check_fit, fit_of
    from deeplab_lfov.weights.formats import stored_weights
    from deeplab_lfov.weights.tf_checkpoint import origin_of

    stored = stored_weights(settings.ckpt)
    fit = fit_of(stored, settings.ckpt)
    if fit.untrained:
        raise UserError(
            f"{few(fit.untrained)} of {settings.ckpt} are random; train it before you export it"
        )
    if settings.int8:
        _write_int8(settings, stored, fit)
        return
    folder = Path(settings.folder)
    saved_model = check_free(folder / "saved_model")
    tflite = check_free(folder / "model.tflite") if settings.tflite else None
    check_fit(stored, fit.num_classes, fit.width, settings.ckpt)
    model = DeepLabLFOVModel(fit.num_classes, fit.width, initial=stored)
    class_names = fit.classes.names
    if settings.class_names:
        class_names = read_classes(settings.class_names, model.num_classes).names
    writable_folder(folder)  # not before: a mistake should leave no empty folder
    print(f"network  {model}, from {origin_of(settings.ckpt)}")

    segmenter = Segmenter(model, class_names)
    with quiet_stderr():  # TensorFlow tells of its own deprecations
        save_model(segmenter, saved_model)
        if tflite:
            save_tflite(segmenter, tflite, settings.tflite)
    size = sum(file.stat().st_size for file in saved_model.rglob("*") if file.is_file())
    print(f"wrote    {saved_model}, {size / 1e6:.1f} MB: image uint8 RGB [N, H, W, 3] ->")
    print("         mask uint8 [N, H, W], probabilities float32 [N, H, W, C]")
    if tflite:
        height, width = settings.tflite
        print(f"wrote    {tflite}, {tflite.stat().st_size / 1e6:.1f} MB: the same for one picture")
        print(f"         of {height} x {width} pixels")


def _write_int8(settings: Namespace, stored: StoredTensors, fit: Fit) -> None:
    """Write the filters in 8 bits, with the names and colours of the classes."""
    from deeplab_lfov.inference.export import check_free, save_int8
    from deeplab_lfov.weights.checkpoints import check_fit
    from deeplab_lfov.weights.tf_checkpoint import origin_of

    path = check_free(Path(settings.folder) / "weights_int8.npz")
    check_fit(stored, fit.num_classes, fit.width, settings.ckpt)
    classes, about = fit.classes, settings.about or fit.about
    if settings.class_names:
        classes = read_classes(settings.class_names, fit.num_classes, classes)
    writable_folder(settings.folder)
    what = f"{fit.num_classes} classes, width {fit.width:g}"
    print(f"network  {what}, from {origin_of(settings.ckpt)}")
    tensors = {name: np.asarray(tensor) for name, tensor in stored.items()}
    save_int8(tensors, fit._replace(classes=classes, about=about), path)
    print(f"wrote    {path}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    run(main, parser())
