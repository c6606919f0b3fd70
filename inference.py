#!/usr/bin/env python3
"""Segment pictures: a palette PNG and the classes found for each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.inference_flags import parser, settings_of
from deeplab_lfov.console import print_error, print_warning, progress
from deeplab_lfov.data.class_files import read_classes
from deeplab_lfov.data.faint_pictures import faint
from deeplab_lfov.data.image_files import SOFTWARE, read_mask
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.files import whole_csv, whole_file, writable_csv, writable_json
from deeplab_lfov.inference.find_images import find_images
from deeplab_lfov.inference.outputs import Outputs, plan_outputs
from deeplab_lfov.inference.regions import Verdict, verdicts
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.startup import start_tensorflow
from deeplab_lfov.voc import VOID

if TYPE_CHECKING:
    from deeplab_lfov.inference.predictor import Predictor
    from deeplab_lfov.inference.segmentation import Segmentation
    from deeplab_lfov.inference.settings import InferenceSettings
_COLUMNS = ("image", "mask", "class", "share", "regions", "largest_region", "score", "error")
_FEW = 5
"""Pictures up to which their lines say enough, without a bar."""


def main(flags: dict[str, object]) -> None:
    """Make settings of the flags that were given, and segment."""
    segment(settings_of(flags))


def segment(settings: InferenceSettings) -> None:
    """Segment as the settings say: pictures, outputs, network, loop.

    Raises UserError for what the user can put right.
    """
    images = find_images(settings.images)
    if settings.json:
        writable_json(settings.json, {"software", "pictures"})
    if settings.csv:
        writable_csv(settings.csv, _COLUMNS)
    outputs = plan_outputs(settings, images)
    device = start_tensorflow(autotune=False)
    # These load TensorFlow, which --help need not wait for.
    from deeplab_lfov.distributed.devices import compute_deterministically
    from deeplab_lfov.inference.predictor import Predictor, print_network

    if settings.deterministic:
        compute_deterministically()
    predictor = Predictor(settings.ckpt, **settings.options())
    if settings.class_names:
        num_classes, stored = predictor.model.num_classes, predictor.classes
        predictor.classes = read_classes(settings.class_names, num_classes, stored)
    print_network(predictor, settings.ckpt, device, settings.precision)
    for line in faint(list(images)):
        print_warning(line)
    with whole_csv(settings.csv, _COLUMNS) if settings.csv else nullcontext() as add_row:
        pictures = list(zip(images, outputs, strict=True))
        results = _segment(settings, predictor, pictures, add_row)
    if settings.json:
        with whole_file(settings.json) as partial:
            written = {"software": SOFTWARE, "pictures": results}
            partial.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
    if failed := sum("error" in result for result in results):
        print(f"{failed} of {len(images)} pictures failed")
        sys.exit(1)


def _segment(
    settings: InferenceSettings,
    predictor: Predictor,
    pictures: list[tuple[Path, Outputs]],
    add_row: Callable[[Sequence], object] | None,
) -> list[dict[str, object]]:
    """Write and print what each picture becomes; return for each its shares, or its error.

    add_row: writes a row of the CSV file. One that fails alone is the error of the whole.
    """

    def begin(picture: tuple[Path, Outputs]) -> Segmentation | None:
        skipped = settings.skip_existing and picture[1].are_there
        return None if skipped else predictor.segment(picture[0])

    def finish(picture: tuple[Path, Outputs], segmentation: Segmentation | None) -> tuple:
        _, outputs = picture
        if segmentation:
            labels = segmentation.labels(settings.min_confidence)
            outputs.write(segmentation, labels, predictor.classes, settings)
        else:
            labels = read_mask(outputs.mask, predictor.model.num_classes)
        shares, found = _shares(labels, predictor.class_names), {}
        if add_row or settings.threshold:
            found = verdicts(labels, segmentation.probability_bands() if segmentation else ())
        found = {predictor.class_names[label]: verdict for label, verdict in found.items()}
        return shares, found, "" if segmentation else " (kept)"

    results, many = [], len(pictures) > _FEW
    finished = overlapped(pictures, begin, finish)
    with progress(finished, len(pictures), "pictures", show=many) as bar:
        for (path, outputs), picture in zip(pictures, bar, strict=True):
            results.append({"picture": str(path)})
            try:
                shares, found, kept = picture.result()
            except (UserError, MemoryError) as error:
                named = _naming(path, error)
                if len(pictures) == 1:
                    raise named from error
                results[-1]["error"] = str(named)
                if add_row:
                    add_row([path, *[""] * (len(_COLUMNS) - 2), named])
                with bar.external_write_mode():
                    print_error(named)
                continue
            results[-1] |= {"mask": str(outputs.mask), "shares": shares}
            bar.write(_line(path, outputs, shares, found, kept))
            for name in predictor.class_names if add_row else ():
                add_row([path, outputs.mask, name, *found.get(name, Verdict()), ""])
    return results


def _naming(path: Path, error: UserError | MemoryError) -> UserError:
    """Make an error one about the picture at `path`."""
    if isinstance(error, MemoryError):
        from deeplab_lfov.inference.segmentation import SMALLER

        error = UserError(f"out of memory; {SMALLER}")
    return error if error.path == path else UserError(f"{path}: {error}", path)


def _shares(labels: np.ndarray, class_names: tuple[str, ...]) -> dict[str, float]:
    """Return what share each class that occurs has, and void, the largest first."""
    shares = np.bincount(labels.ravel(), minlength=VOID + 1) / labels.size
    order = [label for label in np.argsort(-shares, kind="stable") if shares[label] > 0]
    names = {**dict(enumerate(class_names)), VOID: "void"}
    return {names[label]: float(shares[label]) for label in order}


def _line(
    path: Path, outputs: Outputs, shares: dict[str, float], found: dict[str, Verdict], kept: str
) -> str:
    written = ", ".join(str(file) for file in outputs if file)
    texts = {name: f"{name} {share:.1%}" for name, share in shares.items()}
    for name, (_, regions, largest, score) in found.items():
        sure = "" if score is None else f", score {score:.3f}"
        texts[name] += f" (regions: {regions}, largest: {largest} pixels{sure})"
    return printable(f"{path} -> {written}{kept}: {', '.join(texts.values())}")


if __name__ == "__main__":
    run(main, parser())
