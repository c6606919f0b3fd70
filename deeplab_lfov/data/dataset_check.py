"""The check of a data set, read as training would: what is in it, and what is wrong."""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.console import class_table
from deeplab_lfov.data.decoding import within_memory
from deeplab_lfov.data.image_files import image_size, mask_mode, read_image
from deeplab_lfov.data.list_files import check_sizes
from deeplab_lfov.data.samples import Sample
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.overlap import ahead
from deeplab_lfov.voc import VOID

ReadMask = Callable[[Path], np.ndarray]

_NAMED = 3  # masks of a kind


class Finding(NamedTuple):
    """What one line of a list holds: the picture's size, the mask's labels, or what is wrong."""

    sample: Sample
    size: tuple[int, int] | None = None
    label_counts: np.ndarray | None = None
    mask_mode: str = ""
    fault: str = ""


_RGB = "RGB masks, looked up in the palette"
_BACKGROUND = "masks that are all background (label 0)"
_VOID = "masks that are all void"


class DatasetSummary:
    """What there is to say about a list's findings, which it does not keep: they may be a million.

    `faults`, what is wrong with lines that training would stop at, is empty where it would run;
    `label_counts` are the pixels of each label in all masks that could be read, int64 [256].
    """

    def __init__(self, class_names: Sequence[str], findings: Iterable[Finding]):
        self.class_names, self.num_pictures = tuple(class_names), 0
        self.faults: list[str] = []
        self.label_counts = np.zeros(256, np.int64)
        self._sides = np.array([np.full(2, np.iinfo(np.int64).max), np.zeros(2, np.int64)])
        self._noted: Counter[str] = Counter()
        self._first: dict[str, list[Path]] = defaultdict(list)
        for finding in findings:
            self._add(finding)

    @property
    def has_rgb_masks(self) -> bool:
        """Whether colours stand for labels in any mask."""
        return self._noted[_RGB] > 0

    def _add(self, finding: Finding) -> None:
        self.num_pictures += 1
        self.faults += [finding.fault] if finding.fault else []
        if finding.size:
            self._sides = np.stack(
                [np.minimum(self._sides[0], finding.size), np.maximum(self._sides[1], finding.size)]
            )
        counts = finding.label_counts
        if counts is None:
            return
        self.label_counts += counts
        notes = {
            _RGB: finding.mask_mode == "RGB",
            _BACKGROUND: counts[0] and not counts[1:VOID].any(),
            _VOID: not counts[:VOID].any(),
        }
        for note in (note for note, holds in notes.items() if holds):
            self._noted[note] += 1
            self._first[note] = [*self._first[note], finding.sample.mask][:_NAMED]

    def short(self) -> str:
        """Write two lines: the pictures and their sizes; the labels' shares, if there are any."""
        counts = self.label_counts
        faulty = f"; {len(self.faults)} of them are faulty" if self.faults else ""
        lines = [f"{self.num_pictures} pictures with masks, {self._sizes()}{faulty}"]
        if counts.any():
            present = np.count_nonzero(counts[: len(self.class_names)])
            share = counts[VOID] / counts.sum()
            classes = f"{present} of {len(self.class_names)} classes occur"
            lines.append(f"{classes}, {share:.1%} of pixels are void")
        return "\n".join(lines)

    def __str__(self) -> str:
        shares = ["", *self._shares(), *self._notes()] if self.label_counts.any() else []
        return "\n".join([self.short(), *self._faults(), *shares])

    def _sizes(self) -> str:
        if not self._sides[1].any():
            return "of unknown sizes"
        high, wide = itertools.starmap(_span, self._sides.T.tolist())
        return f"{high} pixels high and {wide} wide"

    def _shares(self) -> list[str]:
        counts = self.label_counts
        total, labels = max(counts.sum(), 1), [*range(len(self.class_names)), VOID]
        shares = [f"{counts[n] / total:.2%}" if counts[n] else "never" for n in labels]
        return class_table([*self.class_names, "void"], shares)

    def _notes(self) -> list[str]:
        lines = []
        for note in (note for note in (_RGB, _BACKGROUND, _VOID) if self._noted[note]):
            names, more = few(self._first[note]), self._noted[note] - len(self._first[note])
            more = f" and {more} more" if more else ""
            lines.append(f"{self._noted[note]} {note}: {printable(names)}{more}")
        return lines

    def _faults(self, most: int = 30) -> list[str]:
        more = [f"... and {len(self.faults) - most} more"] if len(self.faults) > most else []
        return [f"fault: {printable(fault)}" for fault in self.faults[:most]] + more


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def look_at(
    samples: Sequence[Sample], labels_of: ReadMask, decode: bool = True
) -> Iterator[Finding]:
    """Iterate over what each line of a list holds, in its order; all cores read.

    labels_of reads a mask as training would. decode=False reads of the pictures only their heads,
    which finds everything but damage further down.
    """
    return ahead(lambda sample: _look_at(sample, labels_of, decode), samples, os.cpu_count() or 1)


def in_both(samples: list[Sample], others: list[Sample]) -> list[Path]:
    """List the pictures of one list that are in another, by their resolved paths."""
    taken = {os.path.realpath(other.image) for other in others}  # Path.resolve raises in circles
    return [sample.image for sample in samples if os.path.realpath(sample.image) in taken]


def _look_at(sample: Sample, labels_of: ReadMask, decode: bool) -> Finding:
    finding = Finding(sample)
    try:
        image = sample.image
        size = read_image(image).shape[:2] if decode else image_size(image)
        finding = finding._replace(size=size, mask_mode=mask_mode(sample.mask))
        labels = labels_of(sample.mask)
        check_sizes(sample, size, labels.shape)
        with within_memory(sample.mask):
            return finding._replace(label_counts=np.bincount(labels.ravel(), minlength=256))
    except UserError as error:
        return finding._replace(fault=str(error))
