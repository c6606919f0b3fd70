#!/usr/bin/env python3
"""Measure the mean IoU of a checkpoint on pictures with masks, as the VOC devkit counts it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import deeplab_lfov as lfov
from deeplab_lfov import cli


def parser() -> cli.Parser:
    """The flags of evaluate.py."""
    p = cli.Parser("Measure the mean IoU of a checkpoint on pictures with masks.")
    cli.add_list_flags(p, "ImageSets/Segmentation/val.txt")
    cli.add_label_flags(p)
    p.add_argument(
        "--restore_from",
        "--weights_path",
        type=cli.PATH,
        metavar="CKPT",
        required=True,
        help="weights to measure",
    )
    p.add_argument("--num_steps", type=cli.COUNT, help="pictures to take; default: the whole list")
    p.add_argument(
        "--save_dir", type=cli.PATH, help="folder for the predicted masks, <picture>.png"
    )
    p.add_argument(
        "--json", type=cli.PATH, metavar="FILE", help="file for the numbers, as fractions"
    )
    return p


def main(args: argparse.Namespace) -> None:
    """Model, data, output, loop, report."""
    device = cli.start_tensorflow()
    model, class_names = lfov.load_model(args.restore_from)
    if args.class_names:
        class_names = lfov.data_list.read_class_names(args.class_names, model.num_classes)
    reader = lfov.ImageReader(
        args.data_dir,
        args.data_list,
        num_classes=model.num_classes,
        ignore_label=args.ignore_label,
        palette=lfov.palette.read_palette(args.palette),
    )
    samples = reader.samples[: args.num_steps]
    mask_paths = _mask_paths(args.save_dir, samples)
    if args.json:
        lfov.files.writable_json(args.json, "mean_iou")
    _print_plan(args, len(samples), model, device)

    predictor = lfov.Predictor(model)
    matrix = lfov.ConfusionMatrix(class_names)
    start = time.perf_counter()
    pictures = zip(reader.pictures(len(samples)), mask_paths, strict=True)
    with cli.progress(pictures, len(samples), "pictures") as bar:
        for (_, image, labels), mask_path in bar:
            prediction = predictor(image)
            matrix.update(labels, prediction)
            bar.set_postfix_str(f"mean IoU {matrix.mean_iou:.4f}", refresh=False)
            if mask_path:
                lfov.pictures.write_mask(mask_path, prediction)
    seconds = time.perf_counter() - start

    print(f"\n{matrix}\n{len(samples)} pictures in {seconds:.1f} s")
    if args.json:
        numbers = matrix.as_dict() | {"num_images": len(samples), "seconds": seconds}
        with lfov.files.whole_file(args.json) as partial:
            partial.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def _mask_paths(save_dir: str | None, samples: list) -> list[Path | None]:
    if save_dir is None:
        return [None] * len(samples)
    folder = lfov.files.writable_folder(save_dir)
    stems = lfov.files.distinct_stems(sample.image for sample in samples)
    paths = [folder / f"{stem}.png" for stem in stems]
    for path in paths:
        lfov.pictures.check_replaceable(path)
    return paths


def _print_plan(
    args: argparse.Namespace, num_images: int, model: lfov.DeepLabLFOVModel, device: str
) -> None:
    print(f"data     {num_images} pictures with masks in {args.data_list}")
    print(
        f"network  {model.num_parameters:,} parameters, {model.num_classes} classes, "
        f"width {model.width:g}, from {lfov.weight_files.locate(args.restore_from)}"
    )
    print(f"device   {device}")


if __name__ == "__main__":
    cli.run(main, parser())
