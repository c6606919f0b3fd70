#!/usr/bin/env python3
"""Export a checkpoint as a SavedModel, and as TFLite for one size of pictures."""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.console import quiet_stderr
from deeplab_lfov.data.palette import read_classes
from deeplab_lfov.files import writable_folder
from deeplab_lfov.startup import start_tensorflow


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The flags of export.py by name."""

    ckpt: str
    folder: str
    tflite: tuple[int, int] | None = None
    class_names: str | None = None


def parser() -> Parser:
    """Make the parser of export.py."""
    p = Parser("Export a checkpoint for programs without this code.")
    p.add_argument("ckpt", type=flags.PATH, metavar="CKPT", help="weights in any known format")
    p.add_argument("folder", type=flags.PATH, metavar="DIR", help="folder for saved_model")
    p.add_argument(
        "--tflite", type=flags.SIZE, metavar="SIZE", help="also model.tflite for this height,width"
    )
    p.add_argument("--class_names", type=flags.PATH, help="file that names a class in each line")
    return p


def main(given: dict[str, object]) -> None:
    """Check the output, load the network, write the exports."""
    settings = Settings(**given)
    start_tensorflow()
    from deeplab_lfov.inference.export import Segmenter, check_free, save_model, save_tflite
    from deeplab_lfov.weights.checkpoints import load_model
    from deeplab_lfov.weights.formats import locate

    folder = Path(settings.folder)
    saved_model = check_free(folder / "saved_model")
    tflite = check_free(folder / "model.tflite") if settings.tflite else None
    model, class_names = load_model(settings.ckpt)
    if settings.class_names:
        class_names = read_classes(settings.class_names, model.num_classes).names
    writable_folder(folder)  # not before: a mistake should leave no empty folder
    print(f"network  {model}, from {locate(settings.ckpt)}")

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


if __name__ == "__main__":
    run(main, parser())
