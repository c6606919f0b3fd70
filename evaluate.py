#!/usr/bin/env python3
"""Measure the mean IoU of a checkpoint on pictures with masks, as the VOC devkit counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.evaluate_flags import parser, settings_of
from deeplab_lfov.distributed.cluster import find_cluster
from deeplab_lfov.distributed.meeting import Meeting
from deeplab_lfov.startup import start_tensorflow

if TYPE_CHECKING:
    from deeplab_lfov.evaluation.settings import EvaluationSettings


def main(flags: dict[str, object]) -> None:
    """Make settings of the flags that were given, and evaluate."""
    alone = len(find_cluster().workers) == 1
    settings = settings_of(flags)
    start_tensorflow(alone, autotune=False)
    evaluate(settings)


def evaluate(settings: EvaluationSettings) -> None:
    """Evaluate as the settings say: workers, network, then one of four tasks.

    The tasks are masks for the test server, a search for a CRF, the metric of all checkpoints, and
    that of one. Raises UserError for what the user can put right.
    """
    # These load TensorFlow, which --help need not wait for.
    from deeplab_lfov.distributed.devices import compute_deterministically
    from deeplab_lfov.evaluation.measure import measure, measure_all
    from deeplab_lfov.evaluation.setup import connect, make_predictor
    from deeplab_lfov.evaluation.tasks import search, submit

    if settings.deterministic:
        compute_deterministically()
    with Meeting(find_cluster()) as meeting:
        replicas = connect(meeting, settings)
        if settings.all_checkpoints:
            measure_all(settings, replicas)
            return
        predictor = make_predictor(settings)
        if settings.voc_submission:
            submit(settings, predictor, replicas)
        elif settings.crf_search:
            search(settings, predictor, replicas)
        else:
            measure(settings, predictor, replicas)


if __name__ == "__main__":
    run(main, parser())
