"""The archive that VOC's test server takes: masks as palette PNGs in the devkit's folders."""

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_lfov.data.image_files import read_image, write_mask
from deeplab_lfov.data.list_files import read_list
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.settings import SubmissionSettings
from deeplab_lfov.evaluation.setup import (
    Picture,
    check_sizes_of,
    mask_paths,
    print_plan,
    segment_all,
)
from deeplab_lfov.files import whole_file, writable_folder
from deeplab_lfov.inference.predictor import Predictor
from deeplab_lfov.inference.segmentation import Segmentation
from deeplab_lfov.voc import CLASS_NAMES, PALETTE

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


def submit(settings: SubmissionSettings) -> None:
    """Write the archive for VOC's test server; raises UserError for a network of other classes."""
    path = writable_submission(settings.voc_submission)
    predictor = Predictor(settings.restore_from, **settings.options())
    if predictor.model.num_classes != len(CLASS_NAMES):
        raise UserError(
            f"VOC's test server knows {len(CLASS_NAMES)} classes and {settings.restore_from} has "
            f"{predictor.model.num_classes}"
        )
    samples = read_list(settings.data_dir, settings.data_list, masks=False)[: settings.num_steps]
    name, times = Counter(sample.name for sample in samples).most_common(1)[0]
    if times > 1:
        raise UserError(f"two pictures of the list have the id {name}; leave one out")
    check_sizes_of(predictor, samples)
    masks = iter(mask_paths(settings, samples))
    print_plan(settings, f"{len(samples)} pictures", predictor)
    pictures = ((sample, read_image(sample.image), None) for sample in samples)
    with whole_file(path) as partial, zipfile.ZipFile(partial, "w") as archive:

        def finish(picture: Picture, segmentation: Segmentation) -> None:
            labels = segmentation.labels()
            add_mask(archive, picture[0].name, labels)
            if mask := next(masks, None):
                write_mask(mask, labels)

        seconds = segment_all(predictor, pictures, len(samples), finish)
    print(f"{len(samples)} masks in {path} in {seconds:.1f} s")


def writable_submission(path: str | Path) -> Path:
    """Raise UserError unless an archive can be written, if need be over an earlier submission."""
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise UserError(f"{path} does not end in .zip; the test server takes zip files")
    if path.exists() and not (path.is_file() and _is_submission(path)):
        raise UserError(f"{path} exists and is no earlier submission; save elsewhere")
    writable_folder(path.parent)
    return path


def _is_submission(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.startswith(f"{FOLDER}/") for name in names)


def add_mask(archive: zipfile.ZipFile, name: str, labels: np.ndarray) -> None:
    """Add the mask of the VOC id `name`, labels uint8 [H, W], to an archive."""
    picture = Image.fromarray(labels)
    picture.putpalette(PALETTE.tobytes())
    png = io.BytesIO()
    picture.save(png, "PNG")
    entry = zipfile.ZipInfo(f"{FOLDER}/{name}.png")  # dated 1980: the same masks, same bytes
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, png.getvalue())
