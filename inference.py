#!/usr/bin/env python3
"""Segment pictures: a palette PNG and the classes found for each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deeplab_lfov.cli.command import run
from deeplab_lfov.cli.inference_flags import parser, settings_of
from deeplab_lfov.console import print_error, progress
from deeplab_lfov.data.class_files import read_classes
from deeplab_lfov.data.faint_pictures import faint
from deeplab_lfov.data.image_files import SOFTWARE
from deeplab_lfov.errors import UserError, printable
from deeplab_lfov.files import whole_file, writable_json
from deeplab_lfov.inference.find_images import find_images
from deeplab_lfov.inference.outputs import Outputs, plan_outputs
from deeplab_lfov.overlap import overlapped
from deeplab_lfov.startup import start_tensorflow
from deeplab_lfov.voc import VOID

if TYPE_CHECKING:
    from deeplab_lfov.inference.predictor import Predictor
    from deeplab_lfov.inference.segmentation import Segmentation
    from deeplab_lfov.inference.settings import InferenceSettings
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
    for line in faint(images):
        print(printable(f"warning: {line}"), file=sys.stderr)
    results = _segment(settings, predictor, list(zip(images, outputs, strict=True)))
    if settings.json:
        with whole_file(settings.json) as partial:
            written = {"software": SOFTWARE, "pictures": results}
            partial.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
    if failed := sum("error" in result for result in results):
        print(f"{failed} of {len(images)} pictures failed")
        sys.exit(1)


def _segment(
    settings: InferenceSettings, predictor: Predictor, pictures: list[tuple[Path, Outputs]]
) -> list[dict[str, object]]:
    """Write and print what each picture becomes; return for each its shares, or its error.

    One that fails alone is the error of the whole.
    """

    def begin(picture: tuple[Path, Outputs]) -> Segmentation:
        return predictor.segment(picture[0])

    def finish(picture: tuple[Path, Outputs], segmentation: Segmentation) -> dict[str, float]:
        labels = segmentation.labels(settings.min_confidence)
        picture[1].write(segmentation, labels, predictor.classes, settings)
        return _shares(labels, predictor.class_names)

    results, many = [], len(pictures) > _FEW
    finished = overlapped(pictures, begin, finish)
    with progress(finished, len(pictures), "pictures", show=many) as bar:
        for (path, outputs), picture in zip(pictures, bar, strict=True):
            results.append({"picture": str(path)})
            try:
                shares = picture.result()
            except (UserError, MemoryError) as error:
                named = _naming(path, error)
                if len(pictures) == 1:
                    raise named from error
                results[-1]["error"] = str(named)
                with bar.external_write_mode():
                    print_error(named)
                continue
            results[-1] |= {"mask": str(outputs.mask), "shares": shares}
            bar.write(_line(path, outputs, shares))
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


def _line(path: Path, outputs: Outputs, shares: dict[str, float]) -> str:
    written = ", ".join(str(file) for file in outputs if file)
    found = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    return printable(f"{path} -> {written}: {found}")


if __name__ == "__main__":
    run(main, parser())
