#!/usr/bin/env python3
"""Make the augmented training set of 10,582 pictures from VOC 2012 and SBD as downloaded.

VOC: VOCtrainval_11-May-2012.tar. SBD: benchmark.tgz (Hariharan et al., ICCV 2011), whose .mat files
hold the labels. train_aug is (VOC train + SBD train + SBD val) - VOC val.
"""

import re
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.cli.flags import defaults_of
from deeplab_lfov.console import progress
from deeplab_lfov.data.image_files import DATA_SET, image_size, read_mask, write_mask
from deeplab_lfov.data.list_files import Sample, check_sizes, read_lines
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.files import clear_partials, whole_file, writable_folder
from util.sbd_masks import read_sbd_labels
from util.voc_archives import files_in

KNOWN = {"train_aug": 10582, "train": 1464, "val": 1449, "trainval_aug": 12031}
LISTS = Path("ImageSets", "Segmentation")

# What is taken from a source, by the end of its path, and the file it becomes.
VOC_FILES = {
    r"JPEGImages/([\w-]+\.jpg)": "JPEGImages",
    r"SegmentationClass/([\w-]+\.png)": "SegmentationClass",
    r"ImageSets/Segmentation/((?:train|val)\.txt)": str(LISTS),
}
SBD_FILES = {
    r"dataset/img/([\w-]+\.jpg)": "JPEGImages",
    r"dataset/cls/([\w-]+\.mat)": "SBD",
    r"dataset/((?:train|val)\.txt)": "SBD",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The flags of prepare_voc.py by name."""

    voc: Path
    sbd: Path
    output_dir: Path = Path("VOC2012")


def parser() -> Parser:
    """Make the parser of prepare_voc.py."""
    description = "Make VOC 2012's augmented training set; safe to run again after a stop."
    p = Parser(description, defaults_of(Settings))
    p.add_argument("voc", metavar="VOC", type=Path, help="VOCtrainval_11-May-2012.tar or VOC2012/")
    p.add_argument("sbd", metavar="SBD", type=Path, help="benchmark.tgz, or the folder in it")
    p.add_argument("--output_dir", type=Path, help="--data_dir for train.py and evaluate.py")
    return p


def main(flags: dict[str, object]) -> None:
    """Unpack the sources, convert the masks, write the lists, and count the pictures."""
    settings = Settings(**flags)
    folder = writable_folder(settings.output_dir)
    for name in ("JPEGImages", "SBD", "SegmentationClass", "SegmentationClassAug", str(LISTS)):
        clear_partials(folder / name)
    for source, wanted in ((settings.voc, VOC_FILES), (settings.sbd, SBD_FILES)):
        with progress(
            _unpack(source, wanted, folder), None, printable(f"files of {source.name}")
        ) as bar:
            written = sum(bar)
        print(printable(f"{written} new files from {source}"))
    lists = _lists(folder)
    written = _write_masks(folder, lists["trainval_aug"])
    print(printable(f"{written} new masks in {folder / 'SegmentationClassAug'}"))
    for name, ids in lists.items():
        _write_list(folder / LISTS / f"{name}.txt", ids)
        known = KNOWN[name]
        verdict = "as it should be" if len(ids) == known else f"and not the known {known:,}"
        print(printable(f"{folder / LISTS / name}.txt: {len(ids):,} pictures, {verdict}"))


def _unpack(source: Path, wanted: dict[str, str], folder: Path) -> Iterator[bool]:
    """Write the wanted files of an archive or a folder; yield for each whether it was new.

    Where a file goes is made of its plain name alone, so nothing in an archive can leave `folder`.
    """
    found, new = False, []
    try:
        for path, read in files_in(source):
            for pattern, subfolder in wanted.items():
                if match := re.search(rf"(?:^|/){pattern}\Z", path):
                    found = True
                    target = folder / subfolder / match.group(1)
                    if not _is_whole(target):
                        _write(target, read())
                        new.append(target)
                    yield target in new[-1:]
    except FileNotFoundError as error:
        raise UserError(f"there is no file or folder {source}") from error
    except (tarfile.TarError, OSError) as error:
        for target in new:  # an archive with damage in it may have given damaged files
            target.unlink()
        raise UserError(f"{source} is damaged or no archive: {error}") from error
    if not found:
        raise UserError(f"{source} holds none of the files expected; is it the right download?")


def _is_whole(target: Path) -> bool:
    """Tell whether a file is there; an empty one is what a power cut may leave of a new file."""
    return target.exists() and target.stat().st_size > 0


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial:
        partial.write_bytes(content)


def _lists(folder: Path) -> dict[str, list[str]]:
    """Return the ids of the four lists, sorted."""
    train, val = (_ids(folder / LISTS / f"{split}.txt") for split in ("train", "val"))
    sbd = _ids(folder / "SBD" / "train.txt") | _ids(folder / "SBD" / "val.txt")
    lists = {"train_aug": (train | sbd) - val, "train": train, "val": val}
    lists["trainval_aug"] = lists["train_aug"] | val
    for name, ids in lists.items():
        path = folder / LISTS / f"{name}.txt"
        if path.exists() and _ids(path) != ids:
            raise UserError(f"{path} exists and holds other pictures; move it away")
    missing = [i for i in lists["trainval_aug"] if not (folder / f"JPEGImages/{i}.jpg").is_file()]
    if missing:
        raise UserError(f"{len(missing)} pictures are in neither source: {few(sorted(missing))}")
    return {name: sorted(ids) for name, ids in lists.items()}


def _ids(path: Path) -> set[str]:
    if not path.is_file():
        raise UserError(f"the sources hold no {path.name} that would become {path}")
    ids = {name for line in read_lines(path) for name in line.split()}
    if wrong := sorted(name for name in ids if not re.fullmatch(r"[\w-]+", name)):
        raise UserError(f"{path} holds what is no name of a picture: {few(wrong)}", path)
    return ids


def _write_masks(folder: Path, ids: list[str]) -> int:
    """Write SegmentationClassAug/<id>.png for all ids, on all cores; return how many are new."""
    masks = writable_folder(folder / "SegmentationClassAug")
    todo = [name for name in ids if not _is_whole(masks / f"{name}.png")]
    with ProcessPoolExecutor() as workers:
        done = workers.map(_write_mask, [folder] * len(todo), todo, chunksize=16)
        return sum(1 for _ in progress(done, len(todo), "masks"))


def _write_mask(folder: Path, name: str) -> None:
    """Write VOC's own mask where it has one, SBD's elsewhere."""
    own, sbd = folder / f"SegmentationClass/{name}.png", folder / f"SBD/{name}.mat"
    mask, labels = (own, read_mask(own, 21)) if own.is_file() else (sbd, read_sbd_labels(sbd))
    image = folder / f"JPEGImages/{name}.jpg"
    check_sizes(Sample(image, mask), image_size(image), labels.shape)
    target = folder / f"SegmentationClassAug/{name}.png"
    target.unlink(missing_ok=True)  # it is empty, or not there
    write_mask(target, labels, DATA_SET)


def _write_list(path: Path, ids: list[str]) -> None:
    if not path.exists():
        with whole_file(path) as partial:
            partial.write_text("".join(f"{name}\n" for name in ids), encoding="utf-8")


if __name__ == "__main__":
    run(main, parser())
