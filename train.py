#!/usr/bin/env python3
"""Train DeepLab-LargeFOV on pictures and masks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

import deeplab_lfov as lfov
from deeplab_lfov import cli
from deeplab_lfov.train_flags import parser


def main(args: argparse.Namespace) -> None:
    """Settings, data and output; then, with all workers, network, solver and training."""
    cluster = lfov.cluster.find_cluster()
    cli.start_tensorflow(alone=len(cluster.workers) == 1)
    replicas = lfov.distribution.Replicas(cluster, args.devices)
    run = _settings(args)
    start = _start(args, run)
    batch_size = args.batch_size * args.iter_size
    replicas.check_batch(args.batch_size)
    reader = _reader(args, args.data_list, augment=True)
    val_reader = _reader(args, args.val_list) if args.val_list else None
    snapshot_dir, save_dir = _output_folders(args, replicas.is_chief)
    reports = _reports(args, [reader, val_reader], start.class_names, run, replicas.is_chief)
    weights = _class_weights(args, reports)
    contents = {"data_list and palette": reader.fingerprint, "class_weights": weights}
    if run:
        lfov.settings.check_contents(args, run.settings["contents"], contents)

    settings = lfov.settings.as_stored(args) | {"contents": contents}
    replicas.connect(lfov.settings.fingerprint(settings, start.class_names, start.tensors))
    with replicas.scope():
        model = _model(args, start)
        solver = _solver(args, model, weights)
    variables = model.parameters | solver.variables
    snapshots = lfov.snapshots.Snapshots(
        snapshot_dir, variables, start.class_names, args.max_to_keep, settings
    )
    if run:
        snapshots.restore(run, clear=replicas.is_chief)
    history = None
    if replicas.is_chief:
        history = lfov.history.History(snapshot_dir, int(solver.global_step.numpy()))
        for line in _plan(args, run, reader, solver, replicas):
            print(line, flush=True)

    trainer = lfov.training.Trainer(
        solver,
        reader,
        snapshots,
        history,
        start.class_names,
        batch_size=batch_size,
        input_size=args.input_size,
        save_dir=save_dir,
        save_num_images=args.save_num_images,
        val_reader=val_reader,
        replicas=replicas,
    )
    trainer.train(args.num_steps, args.save_pred_every, args.val_every)
    if history:
        print(f"the course of the run: {snapshot_dir / 'history.csv'}, {history.save_curve()}")


class Start(NamedTuple):
    """What training begins with: weights by name, the layers left out of them, class names."""

    tensors: dict[str, np.ndarray]
    skip: tuple[str, ...]
    class_names: tuple[str, ...]


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


def _start(args: argparse.Namespace, run: lfov.snapshots.Run | None) -> Start:
    """Read the weights to start from, which complete the flags of the network."""
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
    if not names and keep_head and fit.num_classes == args.num_classes:
        names = fit.class_names
    return Start(tensors, skip, names or lfov.voc.class_names_of(args.num_classes))


def _model(args: argparse.Namespace, start: Start) -> lfov.DeepLabLFOVModel:
    model = lfov.DeepLabLFOVModel(
        args.num_classes, args.width, args.dropout, args.precision, seed=args.seed
    )
    if start.tensors and not args.resume:
        lfov.checkpoints.set_parameters(model, start.tensors, args.restore_from, start.skip)
    return model


def _reader(args: argparse.Namespace, data_list: str, augment: bool = False) -> lfov.ImageReader:
    return lfov.ImageReader(
        args.data_dir,
        data_list,
        num_classes=args.num_classes,
        ignore_label=args.ignore_label,
        palette=lfov.palette.read_palette(args.palette),
        scale_range=args.scale_range if augment and args.random_scale else (1.0, 1.0),
        random_mirror=augment and args.random_mirror,
        seed=args.seed,
    )


def _reports(
    args: argparse.Namespace,
    readers: list[lfov.ImageReader | None],
    class_names: tuple[str, ...],
    run: lfov.snapshots.Run | None,
    is_chief: bool,
) -> list[lfov.dataset_check.Report]:
    """What is in the lists, the training list's first; printed before a run begins."""
    first_look = args.check_data and not run
    if not first_look:
        readers = readers[:1] if args.class_weights == "balanced" else []
    reports = [_report(reader, class_names, is_chief) for reader in readers if reader]
    if first_look and is_chief:
        for line in "\n".join(each.short() for each in reports).splitlines():
            print(f"data     {line}")
    return reports


def _report(
    reader: lfov.ImageReader, class_names: tuple[str, ...], show: bool
) -> lfov.dataset_check.Report:
    """What is in the data set; raises UserError where training would stop at it."""
    found = lfov.dataset_check.find(reader.samples, reader.labels_of, decode=False)
    found = cli.progress(found, len(reader.samples), "masks checked", keep=False, show=show)
    report = lfov.dataset_check.Report(class_names, list(found))
    if report.faults:
        raise lfov.UserError(
            f"training would stop at {len(report.faults)} of {len(reader.samples)} pictures: "
            f"{report.faults[0]}; util/check_dataset.py lists all"
        )
    return report


def _class_weights(
    args: argparse.Namespace, reports: list[lfov.dataset_check.Report]
) -> list[float] | None:
    if args.class_weights == "balanced":
        weights = lfov.class_weights.balanced(reports[0].label_counts, args.num_classes)
    elif args.class_weights:
        weights = lfov.class_weights.read_class_weights(args.class_weights, args.num_classes)
    else:
        return None
    return list(weights)


def _solver(
    args: argparse.Namespace, model: lfov.DeepLabLFOVModel, class_weights: list[float] | None
) -> lfov.Solver:
    names = ("optimizer", "learning_rate", "lr_policy", "num_steps", "power", "step_size", "gamma")
    names += ("momentum", "weight_decay", "head_lr_mult", "bias_lr_mult", "iter_size", "seed")
    return lfov.Solver(
        model, class_weights=class_weights, **{name: getattr(args, name) for name in names}
    )


def _output_folders(args: argparse.Namespace, is_chief: bool) -> tuple[Path, Path]:
    """The folders of checkpoints and figures, which the chief has to be able to write to."""
    folder = lfov.files.writable_folder if is_chief else Path
    snapshot_dir = folder(args.snapshot_dir)
    lfov.files.check_no_glob(snapshot_dir)
    marks = ("model.ckpt-[0-9]*", "model.ckpt-best*", "history.csv")
    if not args.resume and any(any(snapshot_dir.glob(mark)) for mark in marks):
        raise lfov.UserError(
            f"{snapshot_dir} already holds a run; --resume continues it, another --snapshot_dir "
            "starts a new one"
        )
    save_dir = folder(args.save_dir or snapshot_dir / "images")
    if not args.resume and any(save_dir.glob("step-*.png")):
        raise lfov.UserError(f"{save_dir} already holds a run's figures; give another --save_dir")
    return snapshot_dir, save_dir


def _plan(
    args: argparse.Namespace,
    run: lfov.snapshots.Run | None,
    reader: lfov.ImageReader,
    solver: lfov.Solver,
    replicas: lfov.distribution.Replicas,
) -> list[str]:
    """What will be trained, from what, on what and how: the lines printed at the start."""
    model, start = solver.model, "random filters"
    if run or args.restore_from:
        start = str(run.path if run else lfov.weight_files.locate(args.restore_from))
        start += "" if run or not args.not_restore_last else ", the last layer afresh"
    (height, width), first = args.input_size, int(solver.global_step.numpy()) + 1
    lines = [
        f"data     {args.data_list} in {args.data_dir}",
        f"network  {model}, from {start}",
        f"steps    {first} to {args.num_steps} of {args.batch_size} x {args.iter_size} crops, "
        f"{height} x {width} pixels, seed {args.seed}",
        f"solver   {args.optimizer}, {solver.describe_rate()}",
    ]
    for names, rate, decay in solver.rate_groups():
        lines.append(f"         {names}: rate x {rate:g}, weight decay {decay:g}")
    return [*lines, f"device   {replicas}"]


if __name__ == "__main__":
    cli.run(main, parser())
