#!/usr/bin/env python3
"""Train DeepLab-LargeFOV on pictures and masks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.train_flags import parser
from deeplab_lfov.console import print_warning
from deeplab_lfov.distributed.cluster import Cluster, checksum, find_cluster
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.network.layers import HEAD
from deeplab_lfov.startup import start_tensorflow
from deeplab_lfov.training.settings import EXTENDING, TrainSettings, decisive

if TYPE_CHECKING:
    from deeplab_lfov.data.image_reader import Hook
    from deeplab_lfov.distributed.replicas import Replicas
    from deeplab_lfov.solver.solver import Solver
    from deeplab_lfov.training.assembly import Readers
    from deeplab_lfov.training.snapshots import Run
    from deeplab_lfov.training.start import Start


def main(flags: dict[str, object]) -> None:
    """Complete the flags that were given from the recipe, the weights or the run, and train."""
    cluster = find_cluster()
    start_tensorflow(alone=len(cluster.workers) == 1)
    from deeplab_lfov.training.start import begin

    snapshot_dir = flags.get("snapshot_dir", TrainSettings.snapshot_dir)
    origin = flags.get("resume"), flags.get("restore_from")
    with begin(snapshot_dir, *origin, cluster.is_chief) as start:
        _train(TrainSettings.complete(flags, start), start, cluster, None)


def train(settings: TrainSettings, hook: Hook | None = None) -> None:
    """Train as the settings say; raises UserError for what the user can put right.

    hook: augments crops, as that of an `ImageReader`.
    """
    from deeplab_lfov.training.start import begin

    cluster, snapshot_dir = find_cluster(), settings.snapshot_dir
    if len(cluster.workers) > 1 and threading.current_thread() is not threading.main_thread():
        raise UserError("several workers are for the main thread, which alone may catch signals")
    origin = settings.resume, settings.restore_from
    with begin(snapshot_dir, *origin, cluster.is_chief) as start:
        _train(settings, start, cluster, hook)


def _train(settings: TrainSettings, start: Start, cluster: Cluster, hook: Hook | None) -> None:
    """Train from a start, with the workers of a cluster: data, network, solver, run."""
    # These load TensorFlow, which --help need not wait for.
    from deeplab_lfov.distributed.devices import compute_deterministically
    from deeplab_lfov.distributed.replicas import Replicas
    from deeplab_lfov.solver.solver import Solver
    from deeplab_lfov.training import assembly
    from deeplab_lfov.training.folders import output_folders
    from deeplab_lfov.training.record import Record
    from deeplab_lfov.training.snapshots import Snapshots
    from deeplab_lfov.training.trainer import Trainer

    replicas = Replicas(cluster, settings.devices)
    chief = cluster.is_chief
    replicas.check_batch(settings.batch_size)
    assembly.check_memory(settings, replicas.num_workers)
    if settings.deterministic:
        compute_deterministically()
    classes = assembly.find_classes(settings, start)
    assembly.check_weights(settings, start)

    readers = assembly.make_readers(settings, hook)
    snapshot_dir, save_dir = output_folders(settings, chief)
    summary = assembly.first_look(settings, readers, classes, chief, resumes=bool(start.run))
    readers.train.rare_labels = assembly.find_rare_labels(settings, classes, summary)
    class_weights = assembly.find_class_weights(settings, summary)
    stored = settings.as_stored(readers.train.fingerprint, class_weights, hook)
    if start.run:
        settings.check_contents(start.run.settings, stored)
    stored["masks"] = _mask_versions(readers, start.run if chief else None)
    rhythm = {"val_every": settings.val_every} if settings.patience else {}  # they end together
    flags = decisive(stored) | rhythm | {"patience": settings.patience}
    data = flags.pop("contents"), classes, summary and summary.label_counts.tolist()
    replicas.connect({"flags": flags, "data": data, "weights": checksum(start.tensors)})

    with replicas.strategy.scope():
        model = assembly.make_network(settings, start)
        solver = Solver(model, settings, class_weights)
    variables = model.parameters | solver.variables
    snapshots = Snapshots(snapshot_dir, variables, classes, settings.max_to_keep, stored)
    if start.run:
        snapshots.restore(start.run)

    record = None
    if chief:
        record = Record(settings, solver, snapshots, classes, save_dir, readers)
        _print_plan(settings, start, solver, replicas, len(readers.train.samples))
    trainer = Trainer(
        solver=solver,
        reader=readers.train,
        record=record,
        replicas=replicas,
        batch_size=settings.crops_per_step,
        input_size=settings.input_size,
    )
    when = settings.save_pred_every, settings.val_every, settings.patience
    trainer.train(settings.num_steps, *when)
    if chief:
        print(record.save_curve())


def _mask_versions(readers: Readers, run: Run | None) -> list[list[int]]:
    """Return the `mask_versions` of each list, and name the masks that have others in a run."""
    now = [reader.mask_versions() for reader in readers if reader]
    before = run.settings.get("masks", []) if run else []
    lists = zip(filter(None, readers), before, now, strict=False)
    pairs = (zip(reader.samples, *versions, strict=False) for reader, *versions in lists)
    if changed := [sample.mask for each in pairs for sample, old, new in each if old != new]:
        line = f"{len(changed)} masks were written anew since the run was last started: "
        line += f"{few(changed)}; if labels have changed, restore them or start another run"
        print_warning(line)
    return now


def _print_plan(
    settings: TrainSettings, start: Start, solver: Solver, replicas: Replicas, num_samples: int
) -> None:
    """Say what will be trained, from what, on what and how: the lines printed at the start."""
    from deeplab_lfov.network.arithmetic import device_lines

    origin = "random filters"
    if start.path:
        origin = str(start.path)
        head = [HEAD] if settings.not_restore_last else []
        fresh = list(dict.fromkeys((*start.fit.untrained, *head)))
        origin += f", {few(fresh)} afresh" if fresh and not start.run else ""
    (height, width), first = settings.input_size, int(solver.global_step.numpy()) + 1
    lines = [
        f"data     {settings.data_list} in {settings.data_dir}",
        f"network  {solver.model}, from {origin}",
        f"steps    {_steps(first, settings.num_steps)} of {settings.batch_size} x "
        f"{settings.iter_size} crops, {height} x {width} pixels, seed {settings.seed}; an epoch is "
        f"{num_samples / settings.crops_per_step:.4g} steps",
        f"solver   {settings.optimizer}, {solver.rate_policy}",
    ]
    for names, rate, decay in solver.rate_groups():
        lines.append(f"         {names}: rate x {rate:g}, weight decay {decay:g}")
    lines += device_lines(str(replicas), settings.precision)
    lines += _changes(settings, start, first)
    print("\n".join(map(printable, lines)), flush=True)


def _steps(first: int, last: int) -> str:
    return f"{first} to {last}" if first <= last else f"none after {last}"


def _changes(settings: TrainSettings, start: Start, first: int) -> list[str]:
    """Say what a resumed run does otherwise than it began, and how a finished one goes on."""
    before = start.run.settings if start.run else {}
    lines = [
        f"changed  {name} {before[name]} -> {getattr(settings, name)}, from step {first} on"
        for name in sorted(EXTENDING & before.keys())
        if before[name] != getattr(settings, name)
    ]
    if settings.lr_policy == "poly" and any("num_steps" in line for line in lines):
        lines.append("         the rate follows the poly curve that ends there")
    if first > settings.num_steps:
        lines.append(
            f"finished {settings.num_steps} steps are done; --resume --num_steps "
            f"{2 * settings.num_steps} goes on, for example"
        )
    return lines


if __name__ == "__main__":
    run(main, parser())
