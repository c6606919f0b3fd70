#!/usr/bin/env python3
"""Read every picture and mask of a list as training would, and tell what is wrong with them."""

import os
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.classes import voc_classes
from deeplab_lfov.cli import flags
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.console import print_warning, progress
from deeplab_lfov.data.class_files import classes_from, classes_in
from deeplab_lfov.data.dataset_check import DatasetSummary, check_sense, doubts, look_at
from deeplab_lfov.data.image_files import read_mask
from deeplab_lfov.data.list_files import list_of, parse_list
from deeplab_lfov.data.settings import DataSettings
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.settings import COUNT, NUM_CLASSES, PATH
from deeplab_lfov.startup import load_tensorflow_once
from deeplab_lfov.training.parts import AugmentationSettings
from deeplab_lfov.training.settings import TrainSettings

DEFAULTS = {"data_dir": "."}
OPTIONAL = ("data_list", "num_classes", "ignore_label", "palette", "class_names", "against")
PREVIEW = "crops.png"  # in the folder where the command runs


def parser() -> Parser:
    """Make the parser of check_dataset.py."""
    description = "Tell what is in a list; exit status 0 where training would run, 2 otherwise."
    p = Parser(description, DEFAULTS)
    p.add_argument(
        "data_list", nargs="?", metavar="LIST", help="default: as for train.py's --data_list"
    )
    p.add_argument("--data_dir", type=PATH, help="folder that the list's lines start from")
    p.add_argument("--num_classes", type=NUM_CLASSES, help="default: the names', else 21")
    flags.add_flags(p, DataSettings)
    p.add_argument(
        "--against", type=PATH, metavar="LIST", help="report pictures that are in this list too"
    )
    group = p.add_argument_group("preview, with train.py's flags")
    help = f"write {PREVIEW}: so many crops as the network gets them, and their masks"
    group.add_argument("--preview", type=COUNT, metavar="N", help=help)
    flags.add_flags(group, AugmentationSettings)
    flags.add_flags(group, TrainSettings)
    return p


def main(given: dict[str, object]) -> None:
    """Read lists, names and pictures, and report."""
    settings = Namespace(**dict.fromkeys(OPTIONAL) | DEFAULTS | given)
    data_list = settings.data_list or list_of(settings.data_dir, "train")
    samples = parse_list(settings.data_dir, data_list)
    others = parse_list(settings.data_dir, settings.against) if settings.against else []
    known = classes_in(settings.data_dir, settings.palette)
    classes = classes_from(settings.class_names, known, settings.num_classes)
    classes = classes if classes.names else voc_classes(settings.num_classes or 21)
    names = classes.names

    def labels_of(mask: Path) -> np.ndarray:
        return read_mask(mask, len(names), settings.ignore_label, known)

    findings = progress(look_at(samples, labels_of), len(samples), "pictures")
    summary = DatasetSummary(names, findings)
    print(summary)
    if settings.against:
        taken = {os.path.realpath(other.image) for other in others}  # Path.resolve fails in circles
        both = [sample.image for sample in samples if os.path.realpath(sample.image) in taken]
        print(printable(f"{len(both)} pictures are in {settings.against} too: {few(both)}"))
    if summary.faults:
        raise UserError(
            f"training would stop at {len(summary.faults)} of {len(samples)} pictures; see the "
            "faults above"
        )
    for doubt in doubts(summary, samples, classes):
        print_warning(doubt)
    check_sense(summary, data_list, settings.ignore_label is not None)
    if "preview" in given:
        preview(dict(given), summary)


def preview(flags: dict[str, object], summary: DatasetSummary) -> None:
    """Write the first crops of a run of train.py with those flags."""
    load_tensorflow_once()
    from deeplab_lfov.inference.visualize import save_rows
    from deeplab_lfov.preprocess import picture
    from deeplab_lfov.training import assembly
    from deeplab_lfov.training.start import Start

    count, _ = flags.pop("preview"), flags.pop("against", None)
    settings = TrainSettings.complete({**flags, "freeze": "none"}, Start())
    classes = assembly.find_classes(settings, Start())
    reader = assembly.make_readers(settings).train
    reader.rare_labels = assembly.find_rare_labels(settings, classes, summary)
    for doubt in assembly.doubts_of_crops(settings, summary):
        print_warning(doubt)
    images, labels, _ = next(reader.batches(count, settings.input_size, 1))
    names = [path.name for path in reader.files_of_step(0, count)]
    save_rows(PREVIEW, picture(images).numpy(), labels.numpy()[..., 0], (), classes, names)
    print(f"look at {PREVIEW}: the first crops that train.py makes with these flags")


if __name__ == "__main__":
    run(main, parser())
