#!/usr/bin/env python3
"""Train DeepLab-LargeFOV on pictures and masks."""

from __future__ import annotations

import argparse
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import deeplab_lfov as lfov
from deeplab_lfov import cli

if TYPE_CHECKING:
    import tensorflow as tf


def parser() -> cli.Parser:
    """The flags of train.py; their defaults are the configuration."""
    p = cli.Parser("Train DeepLab-LargeFOV; writes model.ckpt-<steps done> and figures.")
    _add_data_flags(p.add_argument_group("data"))
    _add_network_flags(p.add_argument_group("network"))
    _add_solver_flags(p.add_argument_group("solver"))
    _add_output_flags(p.add_argument_group("output"))
    return p


def main(args: argparse.Namespace) -> None:
    """Model, data, solver, output, loop."""
    device = cli.start_tensorflow()
    model, class_names = _model(args)
    reader = lfov.ImageReader(
        args.data_dir,
        args.data_list,
        num_classes=model.num_classes,
        ignore_label=args.ignore_label,
        scale_range=args.scale_range if args.random_scale else (1.0, 1.0),
        random_mirror=args.random_mirror,
        seed=args.seed,
    )
    solver = lfov.Solver(model, args.learning_rate, seed=args.seed)

    snapshot_dir, save_dir = _output_folders(args)
    variables = model.parameters | solver.slots | {"global_step": solver.global_step}
    snapshots = lfov.checkpoints.Snapshots(snapshot_dir, variables, class_names, args.max_to_keep)
    _print_plan(args, reader, model, device)

    losses = deque(maxlen=20)
    batches = reader.batches(args.batch_size, args.input_size, args.num_steps)
    with cli.progress(batches, args.num_steps, "steps") as bar:
        for step, (images, labels) in enumerate(bar, 1):
            losses.append(float(solver.step(images, labels)))
            loss = sum(losses) / len(losses)
            speed = step * args.batch_size / bar.format_dict["elapsed"]
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:.1f} images/s", refresh=False)
            if step % args.save_pred_every == 0 or step == args.num_steps:
                path, figure = snapshots.save(step), save_dir / f"step-{step}.png"
                rows = slice(args.save_num_images)
                _save_figure(figure, model, images[rows], labels[rows], class_names)
                bar.write(f"step {step}: loss {loss:.3f}; saved {path} and {figure}")


def _model(args: argparse.Namespace) -> tuple[lfov.DeepLabLFOVModel, tuple[str, ...]]:
    """The network and its class names, as the flags and the weights to start from say."""
    names, num_classes, width = (), args.num_classes, args.width
    if args.class_names:
        names = lfov.data_list.read_class_names(args.class_names, num_classes)
        num_classes = len(names)
    if args.restore_from:
        tensors = lfov.weight_files.read_tensors(args.restore_from)
        fit = lfov.checkpoints.fit_of(tensors, args.restore_from)
        width = width or fit.width
        if not args.not_restore_last:
            num_classes = num_classes or fit.num_classes
            names = names or (fit.class_names if num_classes == fit.num_classes else ())
    num_classes = num_classes or len(lfov.CLASS_NAMES)
    model = lfov.DeepLabLFOVModel(num_classes, width or 1.0, args.dropout, seed=args.seed)
    if args.restore_from:
        afresh = [lfov.model.HEAD] if args.not_restore_last else []
        lfov.checkpoints.set_parameters(model, tensors, args.restore_from, skip=afresh)
    return model, names or lfov.voc.class_names_of(num_classes)


def _output_folders(args: argparse.Namespace) -> tuple[Path, Path]:
    snapshot_dir = lfov.files.writable_folder(args.snapshot_dir)
    if any(snapshot_dir.glob("model.ckpt-[0-9]*")):
        raise lfov.UserError(f"{snapshot_dir} already holds a run; give another --snapshot_dir")
    save_dir = lfov.files.writable_folder(args.save_dir or snapshot_dir / "images")
    if any(save_dir.glob("step-*.png")):
        raise lfov.UserError(f"{save_dir} already holds a run's figures; give another --save_dir")
    return snapshot_dir, save_dir


def _print_plan(
    args: argparse.Namespace, reader: lfov.ImageReader, model: lfov.DeepLabLFOVModel, device: str
) -> None:
    start = "random filters"
    if args.restore_from:
        start = str(lfov.weight_files.locate(args.restore_from))
        start += ", the last layer afresh" if args.not_restore_last else ""
    height, width = args.input_size
    print(f"data     {len(reader.samples)} pictures with masks in {args.data_list}")
    print(
        f"network  {model.num_parameters:,} parameters, {model.num_classes} classes, "
        f"width {model.width:g}, from {start}"
    )
    print(
        f"solver   Adam, learning rate {args.learning_rate:g}, {args.num_steps} steps of "
        f"{args.batch_size} crops of {height} x {width} pixels, seed {args.seed}"
    )
    print(f"device   {device}")


def _save_figure(
    path: Path,
    model: lfov.DeepLabLFOVModel,
    images: tf.Tensor,
    labels: tf.Tensor,
    class_names: tuple[str, ...],
) -> None:
    pictures = lfov.transforms.picture(images).numpy()
    predictions = model.preds(images).numpy()
    lfov.visualize.save_rows(
        path, pictures, labels.numpy()[..., 0], predictions[..., 0], class_names
    )


def _add_data_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data_dir", default=".", help="folder that the list's lines start from")
    group.add_argument(
        "--data_list",
        default="ImageSets/Segmentation/train_aug.txt",
        help="lines '/image.jpg /mask.png' or VOC ids; looked for as named, then in data_dir",
    )
    group.add_argument(
        "--num_classes", type=cli.NUM_CLASSES, help="default: as in the weights, else 21"
    )
    group.add_argument("--class_names", help="file that names a class in each line")
    group.add_argument(
        "--ignore_label", type=cli.LABEL, default=255, help="value of the masks' void pixels"
    )
    group.add_argument(
        "--input_size", type=cli.SIZE, default="321,321", help="height,width of crops in pixels"
    )
    group.add_argument("--batch_size", type=cli.COUNT, default=16, help="crops in a step")
    cli.add_flag(group, "random_scale", True, "resize each picture by a random factor")
    group.add_argument(
        "--scale_range", type=cli.SCALE_RANGE, default="0.75,1.25", help="limits of that factor"
    )
    cli.add_flag(group, "random_mirror", False, "swap left and right of every second picture")


def _add_network_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--restore_from",
        "--weights_path",
        metavar="CKPT",
        help="weights to start from, in any known format; default: random filters",
    )
    cli.add_flag(group, "not_restore_last", False, "start the last layer afresh, for other classes")
    group.add_argument(
        "--width", type=cli.WIDTH, help="share of VGG-16's channels; default: the weights', else 1"
    )
    group.add_argument(
        "--dropout", type=cli.DROPOUT, default=0.5, help="share of fc6's and fc7's outputs dropped"
    )


def _add_solver_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--learning_rate", type=cli.RATE, default=1e-4, help="of Adam")
    group.add_argument("--num_steps", type=cli.COUNT, default=20000, help="steps to train")
    group.add_argument("--seed", type=cli.SEED, default=0, help="decides every random draw")


def _add_output_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--snapshot_dir", default="snapshots", help="folder for checkpoints")
    group.add_argument(
        "--save_pred_every", type=cli.COUNT, default=500, help="steps between checkpoints"
    )
    group.add_argument(
        "--max_to_keep", type=cli.COUNT, default=5, help="how many of the newest are kept"
    )
    group.add_argument("--save_dir", help="folder for figures; default: snapshot_dir/images")
    group.add_argument("--save_num_images", type=cli.COUNT, default=2, help="rows of a figure")


if __name__ == "__main__":
    cli.run(main, parser())
