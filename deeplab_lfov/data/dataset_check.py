"""The check of a data set, read as training would: what is in it, and what is wrong with it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.console import class_table, progress
from deeplab_lfov.data.decoding import within_memory
from deeplab_lfov.data.faint_pictures import faint
from deeplab_lfov.data.image_files import image_size, mask_mode, read_image
from deeplab_lfov.data.list_files import Sample, check_sizes, exif_orientation
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.overlap import ahead, num_processors
from deeplab_lfov.voc import CLASS_NAMES, VOID

ReadMask = Callable[[Path], np.ndarray]

_RGB = "RGB masks, looked up in the palette"
_BACKGROUND = "masks that are all background (label 0)"
_VOID = "masks that are all void"
_MOST_FAULTS = 30  # that are told
_OF_VOC = re.compile(r"\d{4}_\d{6}|shapes_\d{6}")  # and of util/make_shapes.py
_SAME_SIZE = (2, 3, 4)  # EXIF's orientations that leave a picture's size as it is


class Finding(NamedTuple):
    """What one line of a list holds: the picture's size, the mask's labels, or what is wrong."""

    sample: Sample
    size: tuple[int, int] | None = None
    label_counts: np.ndarray | None = None
    mask_mode: str = ""
    orientation: int = 1
    fault: str = ""


class DatasetSummary:
    """What there is to say about a list's findings, which it does not keep, as they may be many.

    faults: what training would stop at. label_counts: the pixels of each label in all masks that
    could be read, int64 [256]. sizes: how many pictures have each, (height, width). turned: the
    pictures that EXIF turns by 180 degrees or mirrors.
    """

    def __init__(self, class_names: Sequence[str], findings: Iterable[Finding]):
        self.class_names, self.num_pictures = tuple(class_names), 0
        self.faults: list[str] = []
        self.turned: list[Path] = []
        self.label_counts = np.zeros(256, np.int64)
        self.noted: dict[str, list[Path]] = {_RGB: [], _BACKGROUND: [], _VOID: []}  # masks
        self.sizes: Counter[tuple[int, int]] = Counter()
        for finding in findings:
            self.num_pictures += 1
            self.faults += [finding.fault] if finding.fault else []
            self.turned += [finding.sample.image] if finding.orientation in _SAME_SIZE else []
            self.sizes.update([finding.size] if finding.size else [])
            if finding.label_counts is not None:
                self._count(finding.sample.mask, finding.label_counts, finding.mask_mode)

    def _count(self, mask: Path, counts: np.ndarray, mode: str) -> None:
        self.label_counts += counts
        notes = {
            _RGB: mode == "RGB",
            _BACKGROUND: counts[0] and not counts[1:VOID].any(),
            _VOID: not counts[:VOID].any(),
        }
        for note, applies in notes.items():
            self.noted[note] += [mask] if applies else []

    def short(self) -> str:
        """Write two lines: the pictures and their sizes; the labels' shares, if there are any."""
        text, counts = f"{self.num_pictures} pictures with masks", self.label_counts
        if self.sizes:
            high, wide = map(_span, zip(*self.sizes, strict=True))
            text += f", {high} pixels high and {wide} wide"
        if self.faults:
            text += f"; {len(self.faults)} of them are faulty"
        if counts.any():
            present = np.count_nonzero(counts[: len(self.class_names)])
            text += f"\n{present} of {len(self.class_names)} classes occur, "
            text += f"{counts[VOID] / counts.sum():.1%} of pixels are void"
        return text

    def __str__(self) -> str:
        lines = [self.short()]
        lines += [f"fault: {printable(fault)}" for fault in self.faults[:_MOST_FAULTS]]
        if len(self.faults) > _MOST_FAULTS:
            lines.append(f"... and {len(self.faults) - _MOST_FAULTS} more")
        if self.label_counts.any():
            labels = [*range(len(self.class_names)), VOID]
            shares = self.label_counts[labels] / self.label_counts.sum()
            texts = [f"{share:.2%}" if share else "never" for share in shares]
            lines += ["", *class_table([*self.class_names, "void"], texts)]
        notes = [(note, masks) for note, masks in self.noted.items() if masks]
        lines += [f"{len(masks)} {note}: {printable(few(masks))}" for note, masks in notes]
        return "\n".join(lines)


def _span(pixels: Sequence[int]) -> str:
    least, most = min(pixels), max(pixels)
    return f"{least}" if least == most else f"{least} to {most}"


def look_at(
    samples: Sequence[Sample], labels_of: ReadMask, decode: bool = True
) -> Iterator[Finding]:
    """Iterate over what each line of a list holds, in its order; all cores read.

    labels_of reads a mask as training would. decode=False reads of the pictures only their heads.
    """
    return ahead(lambda sample: _look_at(sample, labels_of, decode), samples, num_processors())


def _look_at(sample: Sample, labels_of: ReadMask, decode: bool) -> Finding:
    finding = Finding(sample)
    try:
        image = sample.image
        size = read_image(image).shape[:2] if decode else image_size(image)
        finding = finding._replace(size=size, mask_mode=mask_mode(sample.mask))
        finding = finding._replace(orientation=exif_orientation(image))
        labels = labels_of(sample.mask)
        check_sizes(sample, size, labels.shape)
        with within_memory(sample.mask):
            return finding._replace(label_counts=np.bincount(labels.ravel(), minlength=256))
    except UserError as error:
        return finding._replace(fault=str(error))


def summarize(
    samples: Sequence[Sample],
    labels_of: ReadMask,
    where: str | Path,
    class_names: Sequence[str],
    void_is_given: bool,
    show: bool = True,
) -> DatasetSummary:
    """Look at every mask of a list before anything long begins; show draws a bar.

    where: the list's name. Raises UserError where the work would stop at a file, and as
    `check_sense` does.
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
    if present == {0, VOID} and not void_is_given and not summary.noted[_RGB]:
        raise UserError(
            f"the masks of {where} hold 0 and 255 alone, and 255 stands for void: if it is a "
            "class, util/prepare_data.py --label_map 0:0,255:1 makes it one; if it is void, say "
            "--ignore_label 255"
        )


def doubts(
    summary: DatasetSummary, samples: Sequence[Sample], classes: Classes | None = None
) -> list[str]:
    """Tell what is probably not meant, a line each.

    Classes are expected to occur where somebody named them; VOC's names are given to any 21.
    classes: as the labels are called, if that is in doubt too.
    """
    lines = []
    names = Classes(summary.class_names)
    expected = names.are_named and names.names != CLASS_NAMES
    if classes == Classes(CLASS_NAMES) and not any(_OF_VOC.fullmatch(s.name) for s in samples):
        lines.append(
            "the labels are called as VOC's are, aeroplane and so on, and no picture as one of "
            "VOC's: if the classes are others, name them in classes.txt or by --class_names"
        )
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
    if turned := summary.turned:
        lines.append(
            f"{len(turned)} pictures are turned by 180 degrees or mirrored by their EXIF data, "
            f"which sizes cannot show; check that their masks are turned, too: {few(turned)}"
        )
    return [*lines, *faint([sample.image for sample in samples])]
