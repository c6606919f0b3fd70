"""What makes no sense in a list as a whole, though every one of its files can be read."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.console import progress
from deeplab_lfov.data.dataset_check import DatasetSummary, ReadMask, look_at
from deeplab_lfov.data.image_files import brightest_of_16_bits
from deeplab_lfov.data.list_files import Sample
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import CLASS_NAMES, VOID

_LOOKED_AT = 20  # pictures at most of a list, for their brightness
_DARK = 1 << 12  # of 16 bits the upper 8 are kept: below this a picture has 16 greys


def summarize(
    samples: Sequence[Sample],
    labels_of: ReadMask,
    where: str | Path,
    class_names: Sequence[str],
    void_is_given: bool,
    show: bool = True,
) -> DatasetSummary:
    """Look at every mask of a list before anything long begins; show draws a bar.

    labels_of: as for `look_at`; where: the list's name; the rest as for `check_sense`. Raises
    UserError where the work would stop at a file, and as `check_sense` does.
    """
    findings = look_at(samples, labels_of, decode=False)
    findings = progress(findings, len(samples), "masks checked", keep=False, show=show)
    summary = DatasetSummary(class_names, findings)
    if summary.faults:
        raise UserError(
            f"{len(summary.faults)} of the {len(samples)} pictures of {where} are faulty: "
            f"{summary.faults[0]}; util/check_dataset.py lists all"
        )
    check_sense(summary, where, void_is_given)
    return summary


def check_sense(summary: DatasetSummary, where: str | Path, void_is_given: bool) -> None:
    """Raise UserError for masks that are all void, or hold 0 and 255 alone.

    void_is_given: the user said which label is void, so that 255 cannot be an object by mistake.
    """
    counts = summary.label_counts
    present = set(np.flatnonzero(counts).tolist())
    if present == {VOID}:
        raise UserError(f"every pixel of the masks of {where} is void: there is nothing to go by")
    if present == {0, VOID} and not void_is_given and not summary.has_rgb_masks:
        raise UserError(
            f"the masks of {where} hold 0 and 255 alone, and 255 stands for void: if it is a "
            "class, util/prepare_data.py --label_map 0:0,255:1 makes it one; if it is void, say "
            "--ignore_label 255"
        )


def doubts(summary: DatasetSummary, samples: Sequence[Sample]) -> list[str]:
    """Tell what is probably not meant, a line each.

    Classes are expected to occur where somebody named them; VOC's names are given to any 21.
    """
    lines = []
    classes = Classes(summary.class_names)
    expected = classes.are_named and classes.names != CLASS_NAMES
    counts = summary.label_counts[: len(summary.class_names)]
    absent = [summary.class_names[label] for label in np.flatnonzero(counts == 0)]
    if expected and absent and counts.any():
        lines.append(f"{len(absent)} of {len(counts)} classes never occur: {few(absent, 5)}")
    times = Counter(samples)
    if repeated := [sample for sample, count in times.items() if count > 1]:
        lines.append(
            f"{len(repeated)} lines come more than once, {len(samples) - len(times)} too many: "
            f"{few([sample.image for sample in repeated])}"
        )
    return [*lines, *_dark(samples)]


def _dark(samples: Sequence[Sample]) -> list[str]:
    """Tell of 16-bit pictures whose upper bytes, which are kept, hold next to nothing."""
    brightest = {}
    for sample in samples[:: math.ceil(len(samples) / _LOOKED_AT)]:
        with suppress(UserError):
            brightest[sample.image] = brightest_of_16_bits(sample.image)
    values = [value for value in brightest.values() if value is not None]
    if not values or max(values) >= _DARK:
        return []
    dark = [image for image, value in brightest.items() if value is not None]
    if not any(values):
        return [f"16-bit pictures such as {dark[0]} are black; look at what wrote them"]
    factor = (1 << 16) // (max(values) + 1)
    return [
        f"16-bit pictures such as {dark[0]} go up to {max(values)} of 65535 and will be almost "
        f"black, as their upper bytes are kept; multiply their pixels by {factor}"
    ]
