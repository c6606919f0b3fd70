#!/usr/bin/env python3
"""Train DeepLab-LargeFOV on pictures and masks."""

from __future__ import annotations

import argparse
from pathlib import Path

import deeplab_lfov as lfov
from deeplab_lfov import cli, flags


def parser() -> cli.Parser:
    """The flags of train.py; their defaults, the recipe's among them, are the configuration."""
    p = cli.Parser("Train DeepLab-LargeFOV; writes model.ckpt-<steps done>, figures and history.")
    _add_data_flags(p.add_argument_group("data"))
    _add_network_flags(p.add_argument_group("network"))
    _add_solver_flags(p.add_argument_group("solver; without a default: as the recipe says"))
    _add_output_flags(p.add_argument_group("output"))
    return p


def main(args: argparse.Namespace) -> None:
    """Settings, model, data, output, solver, training."""
    device = cli.start_tensorflow()
    run = _settings(args)
    model, class_names = _model(args, run)
    reader = _reader(args, model, args.data_list, augment=True)
    val_reader = _reader(args, model, args.val_list) if args.val_list else None
    snapshot_dir, save_dir = _output_folders(args)

    first_look = args.check_data and not run
    report = None
    if first_look or args.class_weights == "balanced":
        report = _report(reader, class_names)
    solver = _solver(args, model, report)

    variables = model.parameters | solver.variables
    contents = {"data_list and palette": reader.fingerprint, "class_weights": solver.weights}
    settings = lfov.settings.as_stored(args) | {"contents": contents}
    snapshots = lfov.snapshots.Snapshots(
        snapshot_dir, variables, class_names, args.max_to_keep, settings
    )
    if run:
        lfov.settings.check_contents(args, run.settings["contents"], contents)
        snapshots.restore(run)
    if first_look:
        reports = [report, *([_report(val_reader, class_names)] if val_reader else [])]
        for line in "\n".join(each.short() for each in reports).splitlines():
            print(f"data     {line}")
    history = lfov.history.History(snapshot_dir, first_step=int(solver.global_step))
    for line in _plan(args, run, reader, solver, device):
        print(line, flush=True)

    trainer = lfov.training.Trainer(
        solver,
        reader,
        snapshots,
        history,
        class_names,
        batch_size=args.batch_size * args.iter_size,
        input_size=args.input_size,
        save_dir=save_dir,
        save_num_images=args.save_num_images,
        val_reader=val_reader,
    )
    trainer.train(args.num_steps, args.save_pred_every, args.val_every)
    print(f"the course of the run: {snapshot_dir / 'history.csv'}, {history.save_curve()}")


def _settings(args: argparse.Namespace) -> lfov.snapshots.Run | None:
    """Complete the flags from the recipe, or from the run that is resumed, which is returned."""
    run = lfov.snapshots.find_run(args.snapshot_dir) if args.resume else None
    if run:
        lfov.settings.from_run(args, run.settings, cli.typed(parser()))
    else:
        lfov.settings.from_recipe(args)
    if args.deterministic:
        lfov.training.compute_deterministically()
    return run


def _model(
    args: argparse.Namespace, run: lfov.snapshots.Run | None
) -> tuple[lfov.DeepLabLFOVModel, tuple[str, ...]]:
    """The network and its class names, as the flags and the weights to start from say."""
    checkpoints = lfov.checkpoints
    start = None if run else args.restore_from
    tensors = lfov.weight_files.read_tensors(start) if start else run.tensors if run else {}
    fit = checkpoints.fit_of(tensors, start or run.path) if tensors else None
    names = ()
    if not run:
        palette = lfov.palette.read_palette(args.palette)
        names = lfov.palette.names(args.class_names, palette, args.num_classes)
    keep_head = fit and (run or not args.not_restore_last)

    args.width = args.width or (fit.width if fit else 1.0)
    args.num_classes = args.num_classes or len(names) or (fit.num_classes if keep_head else 21)
    skip = () if keep_head else (lfov.model.HEAD,)
    if start:
        checkpoints.check_fit(tensors, args.num_classes, args.width, start, skip)
    model = lfov.DeepLabLFOVModel(
        args.num_classes, args.width, args.dropout, args.precision, seed=args.seed
    )
    if start:
        checkpoints.set_parameters(model, tensors, start, skip)
    if not names and keep_head and fit.num_classes == args.num_classes:
        names = fit.class_names
    return model, names or lfov.voc.class_names_of(args.num_classes)


def _reader(
    args: argparse.Namespace, model: lfov.DeepLabLFOVModel, data_list: str, augment: bool = False
) -> lfov.ImageReader:
    return lfov.ImageReader(
        args.data_dir,
        data_list,
        num_classes=model.num_classes,
        ignore_label=args.ignore_label,
        palette=lfov.palette.read_palette(args.palette),
        scale_range=args.scale_range if augment and args.random_scale else (1.0, 1.0),
        random_mirror=augment and args.random_mirror,
        seed=args.seed,
    )


def _report(reader: lfov.ImageReader, class_names: tuple[str, ...]) -> lfov.dataset_check.Report:
    """What is in the data set; raises UserError where training would stop at it."""
    found = lfov.dataset_check.find(reader.samples, reader.labels_of, decode=False)
    found = cli.progress(found, len(reader.samples), "masks checked", keep=False)
    report = lfov.dataset_check.Report(class_names, list(found))
    if report.faults:
        raise lfov.UserError(
            f"training would stop at {len(report.faults)} of {len(reader.samples)} pictures: "
            f"{report.faults[0]}; util/check_dataset.py lists all"
        )
    return report


def _solver(
    args: argparse.Namespace, model: lfov.DeepLabLFOVModel, report: lfov.dataset_check.Report | None
) -> lfov.Solver:
    names = ("optimizer", "learning_rate", "lr_policy", "num_steps", "power", "step_size", "gamma")
    names += ("momentum", "weight_decay", "head_lr_mult", "bias_lr_mult", "iter_size", "seed")
    weights = None
    if args.class_weights == "balanced":
        weights = lfov.class_weights.balanced(report.label_counts, model.num_classes)
    elif args.class_weights:
        weights = lfov.class_weights.read_class_weights(args.class_weights, model.num_classes)
    return lfov.Solver(
        model, class_weights=weights, **{name: getattr(args, name) for name in names}
    )


def _output_folders(args: argparse.Namespace) -> tuple[Path, Path]:
    snapshot_dir = lfov.files.writable_folder(args.snapshot_dir)
    lfov.files.check_no_glob(snapshot_dir)
    marks = ("model.ckpt-[0-9]*", "model.ckpt-best*", "history.csv")
    if not args.resume and any(any(snapshot_dir.glob(mark)) for mark in marks):
        raise lfov.UserError(
            f"{snapshot_dir} already holds a run; --resume continues it, another --snapshot_dir "
            "starts a new one"
        )
    save_dir = lfov.files.writable_folder(args.save_dir or snapshot_dir / "images")
    if not args.resume and any(save_dir.glob("step-*.png")):
        raise lfov.UserError(f"{save_dir} already holds a run's figures; give another --save_dir")
    return snapshot_dir, save_dir


def _plan(
    args: argparse.Namespace,
    run: lfov.snapshots.Run | None,
    reader: lfov.ImageReader,
    solver: lfov.Solver,
    device: str,
) -> list[str]:
    """What will be trained, from what, on what and how: the lines printed at the start."""
    model, start = solver.model, "random filters"
    if run or args.restore_from:
        start = str(run.path if run else lfov.weight_files.locate(args.restore_from))
        start += "" if run or not args.not_restore_last else ", the last layer afresh"
    height, width = args.input_size
    lines = [
        f"data     {args.data_list} in {args.data_dir}",
        f"network  {model}, from {start}",
        f"steps    {int(solver.global_step) + 1} to {args.num_steps} of {args.batch_size} x "
        f"{args.iter_size} crops, {height} x {width} pixels, seed {args.seed}",
        f"solver   {args.optimizer}, {solver.describe_rate()}",
    ]
    for names, rate, decay in solver.rate_groups():
        lines.append(f"         {names}: rate x {rate:g}, weight decay {decay:g}")
    return [*lines, f"device   {device}"]


def _add_data_flags(group: argparse._ArgumentGroup) -> None:
    flags.add_list_flags(group, "ImageSets/Segmentation/train_aug.txt")
    flags.add_label_flags(group)
    group.add_argument(
        "--num_classes", type=flags.NUM_CLASSES, help="default: as in the weights, else 21"
    )
    flags.add_flag(group, "check_data", True, "look at every mask before a run begins")
    group.add_argument(
        "--input_size", type=flags.SIZE, default="321,321", help="height,width of crops in pixels"
    )
    flags.add_flag(group, "random_scale", True, "resize each picture by a random factor")
    group.add_argument(
        "--scale_range", type=flags.SCALE_RANGE, default="0.75,1.25", help="limits of that factor"
    )
    flags.add_flag(
        group, "random_mirror", None, "swap left and right of every second picture; see --recipe"
    )
    group.add_argument(
        "--val_list", type=flags.PATH, help="list to measure the mean IoU on during training"
    )
    group.add_argument(
        "--val_every", type=flags.COUNT, default=1000, help="steps between measurements"
    )


def _add_network_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--restore_from",
        "--weights_path",
        type=flags.PATH,
        metavar="CKPT",
        help="weights to start from, in any known format; default: random filters",
    )
    flags.add_flag(
        group, "not_restore_last", False, "start the last layer afresh, for other classes"
    )
    group.add_argument(
        "--width",
        type=flags.WIDTH,
        help="share of VGG-16's channels; default: the weights', else 1",
    )
    group.add_argument(
        "--dropout",
        type=flags.DROPOUT,
        default=0.5,
        help="share of fc6's and fc7's outputs dropped",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the convolutions; float16 (for GPUs) scales the loss",
    )


def _add_solver_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--recipe",
        choices=("adam", "step", "poly"),
        default="adam",
        help="defaults for the flags below, and mirror: the first TensorFlow version's, "
        "arXiv 1412.7062's, arXiv 1606.00915's",
    )
    group.add_argument("--optimizer", choices=("adam", "sgd"), help="adam, or sgd with momentum")
    group.add_argument("--learning_rate", type=flags.RATE, help="before policy and multipliers")
    group.add_argument("--lr_policy", choices=("fixed", "step", "poly"), help="how the rate falls")
    group.add_argument("--num_steps", type=flags.COUNT, help="updates to train")
    group.add_argument("--batch_size", type=flags.COUNT, help="crops in a pass")
    group.add_argument(
        "--iter_size", type=flags.COUNT, default=1, help="passes in an update, to save memory"
    )
    group.add_argument("--power", type=flags.RATE, default=0.9, help="of poly")
    group.add_argument("--step_size", type=flags.COUNT, default=2000, help="of step, in steps")
    group.add_argument("--gamma", type=flags.RATE, default=0.1, help="of step")
    group.add_argument("--momentum", type=flags.DROPOUT, default=0.9, help="of sgd")
    group.add_argument("--weight_decay", type=flags.NOT_NEGATIVE, help="of filters")
    group.add_argument(
        "--head_lr_mult", type=flags.NOT_NEGATIVE, help="rate of the last layer, times"
    )
    group.add_argument("--bias_lr_mult", type=flags.NOT_NEGATIVE, help="rate of biases, times")
    group.add_argument(
        "--class_weights",
        type=flags.PATH,
        help="'balanced', or a file with a class's weight in each line",
    )
    group.add_argument("--seed", type=flags.SEED, default=0, help="decides every random draw")
    flags.add_flag(
        group, "deterministic", False, "the same bits every time, and after every resume; slower"
    )


def _add_output_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--snapshot_dir",
        type=flags.PATH,
        default="snapshots",
        help="folder for checkpoints, history and events",
    )
    flags.add_flag(group, "resume", False, "go on with the run in snapshot_dir, with its settings")
    group.add_argument(
        "--save_pred_every", type=flags.COUNT, default=500, help="steps between checkpoints"
    )
    group.add_argument(
        "--max_to_keep", type=flags.COUNT, default=5, help="how many of the newest are kept"
    )
    group.add_argument(
        "--save_dir", type=flags.PATH, help="folder for figures; default: snapshot_dir/images"
    )
    group.add_argument("--save_num_images", type=flags.COUNT, default=2, help="rows of a figure")


if __name__ == "__main__":
    cli.run(main, parser())
