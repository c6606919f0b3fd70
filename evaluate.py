#!/usr/bin/env python3
"""Measure the mean IoU of a checkpoint on pictures with masks, as the VOC devkit counts it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.evaluate_flags import parser, settings_of
from deeplab_lfov.distributed.cluster import find_cluster
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.settings import (
    CheckpointsSettings,
    EvaluationSettings,
    MeasureSettings,
    SearchSettings,
    SubmissionSettings,
)
from deeplab_lfov.files import locked
from deeplab_lfov.startup import start_tensorflow


def main(flags: dict[str, object]) -> None:
    """Make settings of the flags that were given, and evaluate."""
    if (workers := len(find_cluster().workers)) > 1:
        raise UserError(
            f"evaluate.py is for one process, and TF_CONFIG or srun names {workers} workers; start "
            "it once, without them"
        )
    settings = settings_of(flags)
    start_tensorflow(autotune=False)
    evaluate(settings)


def evaluate(settings: EvaluationSettings) -> None:
    """Do the task that the settings are of; raises UserError for what the user can put right."""
    # These load TensorFlow, which --help need not wait for.
    from deeplab_lfov.distributed.devices import compute_deterministically, make_visible
    from deeplab_lfov.evaluation.crf_search import search
    from deeplab_lfov.evaluation.measure import measure, measure_all
    from deeplab_lfov.evaluation.submission import submit

    tasks = {
        MeasureSettings: measure,
        CheckpointsSettings: measure_all,
        SearchSettings: search,
        SubmissionSettings: submit,
    }
    make_visible(None, most=1)  # which has to come before the network
    if settings.deterministic:
        compute_deterministically()
    report = getattr(settings, "report", None)
    lock = Path(report or "", ".report.lock"), "writes a report into it", "--report"
    with locked(*lock) if report else nullcontext():
        tasks[type(settings)](settings)


if __name__ == "__main__":
    run(main, parser())
