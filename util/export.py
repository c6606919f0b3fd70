#!/usr/bin/env python3
"""Export a checkpoint as a SavedModel, and as TFLite for one size of pictures."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import deeplab_lfov as lfov
from deeplab_lfov import cli, flags


def parser() -> cli.Parser:
    """The flags of export.py."""
    p = cli.Parser("Export a checkpoint for programs without this code.")
    p.add_argument("ckpt", type=flags.PATH, metavar="CKPT", help="weights in any known format")
    p.add_argument("folder", type=flags.PATH, metavar="DIR", help="folder for saved_model")
    p.add_argument(
        "--tflite", type=flags.SIZE, metavar="SIZE", help="also model.tflite for this height,width"
    )
    p.add_argument("--class_names", type=flags.PATH, help="file that names a class in each line")
    return p


def main(args: argparse.Namespace) -> None:
    """Output, network, exports."""
    cli.start_tensorflow()
    export, folder = lfov.export, Path(args.folder)
    saved_model = export.check_free(folder / "saved_model")
    tflite = export.check_free(folder / "model.tflite") if args.tflite else None
    model, class_names = lfov.load_model(args.ckpt)
    if args.class_names:
        class_names = lfov.data_list.read_class_names(args.class_names, model.num_classes)
    lfov.files.writable_folder(folder)  # not before: a mistake should leave no empty folder
    print(f"network  {model}, from {lfov.weight_files.locate(args.ckpt)}")

    segmenter = export.Segmenter(model, class_names)
    with cli.quiet_stderr():  # TensorFlow tells of its own deprecations
        export.save_model(segmenter, saved_model)
        if tflite:
            export.save_tflite(segmenter, tflite, args.tflite)
    size = sum(file.stat().st_size for file in saved_model.rglob("*") if file.is_file())
    print(f"wrote    {saved_model}, {size / 1e6:.1f} MB: image uint8 RGB [N, H, W, 3] ->")
    print("         mask uint8 [N, H, W], probabilities float32 [N, H, W, C]")
    if tflite:
        height, width = args.tflite
        print(f"wrote    {tflite}, {tflite.stat().st_size / 1e6:.1f} MB: the same for one picture")
        print(f"         of {height} x {width} pixels")


if __name__ == "__main__":
    cli.run(main, parser())
