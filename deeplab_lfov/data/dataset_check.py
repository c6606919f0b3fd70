"""The check of a data set, read as training would: what is in it, and what is wrong."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.data.decoding import within_memory
from deeplab_lfov.data.image_files import image_size, mask_mode, read_image
from deeplab_lfov.data.list_files import Sample, check_sizes
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.voc import VOID

ReadMask = Callable[[Path], np.ndarray]


class Finding(NamedTuple):
    """What one line of a list holds: the picture's size, the mask's labels, or what is wrong."""

    sample: Sample
    size: tuple[int, int] | None = None
    label_counts: np.ndarray | None = None
    mask_mode: str = ""
    fault: str = ""


@dataclass
class DatasetSummary:
    """The findings about a list; `faults` is empty where training would run."""

    class_names: tuple[str, ...]
    findings: list[Finding]

    @property
    def faults(self) -> list[str]:
        """What is wrong with each line that training would stop at."""
        return [finding.fault for finding in self.findings if finding.fault]

    @property
    def label_counts(self) -> np.ndarray:
        """The pixels of each label in all masks that could be read, int64 [256]."""
        counts = [f.label_counts for f in self.findings if f.label_counts is not None]
        return np.sum([np.zeros(256, np.int64), *counts], axis=0)

    @property
    def has_rgb_masks(self) -> bool:
        """Whether colours stand for labels in any mask."""
        return any(finding.mask_mode == "RGB" for finding in self.findings)

    def short(self) -> str:
        """Write two lines: the pictures and their sizes; the labels' shares, if there are any."""
        counts = self.label_counts
        faulty = f"; {len(self.faults)} of them are faulty" if self.faults else ""
        lines = [f"{len(self.findings)} pictures with masks, {self._sizes()}{faulty}"]
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
        sizes = np.array([finding.size for finding in self.findings if finding.size])
        if not len(sizes):
            return "of unknown sizes"
        high, wide = map(_span, sizes.min(axis=0), sizes.max(axis=0))
        return f"{high} pixels high and {wide} wide"

    def _shares(self) -> list[str]:
        counts = self.label_counts
        total, names = max(counts.sum(), 1), [*self.class_names, "void"]
        names = list(map(printable, names))
        pad = max(map(len, names)) + 2
        labels = [*range(len(self.class_names)), VOID]
        rows = [(name, counts[label]) for name, label in zip(names, labels, strict=True)]
        return [
            f"{name:<{pad}}{count / total:8.2%}" if count else f"{name:<{pad}}   never"
            for name, count in rows
        ]

    def _notes(self) -> list[str]:
        read = [finding for finding in self.findings if finding.label_counts is not None]
        notes = {
            "RGB masks, looked up in the palette": [f for f in read if f.mask_mode == "RGB"],
            "masks that are all background (label 0)": [
                f for f in read if f.label_counts[0] and not f.label_counts[1:VOID].any()
            ],
            "masks that are all void": [f for f in read if not f.label_counts[:VOID].any()],
        }
        return [
            f"{len(found)} {what}: {printable(few([f.sample.mask for f in found]))}"
            for what, found in notes.items()
            if found
        ]

    def _faults(self, most: int = 30) -> list[str]:
        more = [f"... and {len(self.faults) - most} more"] if len(self.faults) > most else []
        return [f"fault: {printable(fault)}" for fault in self.faults[:most]] + more


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def look_at(samples: list[Sample], labels_of: ReadMask, decode: bool = True) -> Iterator[Finding]:
    """Yield what each line of a list holds, in its order; all cores read.

    labels_of reads a mask as training would. decode=False reads of the pictures only their heads,
    which finds everything but damage further down.
    """
    with ThreadPoolExecutor() as threads:
        yield from threads.map(lambda sample: _look_at(sample, labels_of, decode), samples)


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
