#!/usr/bin/env python3
"""Make the augmented training set of 10,582 pictures from VOC 2012 and SBD as downloaded.

VOC: VOCtrainval_11-May-2012.tar. SBD: benchmark.tgz (Hariharan et al., ICCV 2011), whose .mat files
hold the labels. train_aug is (VOC train + SBD train + SBD val) - VOC val.
"""

import functools
import re
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import scipy.io

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.console import progress
from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import DATA_SET, image_size, read_mask, write_mask
from deeplab_lfov.data.list_files import Sample, check_sizes, read_lines
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.files import clear_partials, whole_file, writable_folder
from deeplab_lfov.overlap import ahead, num_processors

MOST_OF_A_FILE = 4 << 20
"""Bytes of a file that is taken; those of VOC and SBD have less than a megabyte."""

KNOWN = {"train_aug": 10582, "train": 1464, "val": 1449, "trainval_aug": 12031}
LISTS = Path("ImageSets", "Segmentation")

OTHER_YEAR = re.compile(r"(?:^|/)VOC20(?!12)\d\d/")

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


def parser() -> Parser:
    """Make the parser of prepare_voc.py."""
    description = "Make VOC 2012's augmented training set; safe to run again after a stop."
    p = Parser(description, {"output_dir": "VOC2012"})
    p.add_argument("voc", metavar="VOC", type=Path, help="VOCtrainval_11-May-2012.tar or VOC2012/")
    p.add_argument("sbd", metavar="SBD", type=Path, help="benchmark.tgz, or the folder in it")
    p.add_argument("--output_dir", type=Path, help="--data_dir for train.py and evaluate.py")
    return p


def main(given: dict[str, object]) -> None:
    """Unpack the sources, convert the masks, write the lists, and count the pictures."""
    folder = writable_folder(given.get("output_dir", "VOC2012"))
    for name in ("JPEGImages", "SBD", "SegmentationClass", "SegmentationClassAug", str(LISTS)):
        clear_partials(writable_folder(folder / name))
    for source, wanted in ((given["voc"], VOC_FILES), (given["sbd"], SBD_FILES)):
        files = _unpack(source, wanted, folder)
        with progress(files, None, printable(f"files of {source.name}")) as bar:
            written = sum(bar)
        print(printable(f"{written} new files from {source}"))
    lists = _lists(folder)
    written = _write_masks(folder, lists["trainval_aug"])
    print(printable(f"{written} new masks in {folder / 'SegmentationClassAug'}"))
    for name, ids in lists.items():
        path = folder / LISTS / f"{name}.txt"
        if not path.exists():
            _write(path, "".join(f"{name}\n" for name in ids).encode())
        known = KNOWN[name]
        verdict = "as it should be" if len(ids) == known else f"and not the known {known:,}"
        print(printable(f"{path}: {len(ids):,} pictures, {verdict}"))


def _unpack(source: Path, wanted: dict[str, str], folder: Path) -> Iterator[bool]:
    """Write the wanted files of an archive or a folder; yield for each whether it was new.

    Where a file goes is made of its plain name alone, so nothing in an archive can leave `folder`.
    """
    found, new = False, []
    try:
        for path, size, open_file in _files_in(source):
            if target := _target(path, wanted, folder):
                found = True
                if is_new := not _is_whole(target):
                    _write(target, _content(path, size, open_file))
                    new.append(target)
                yield is_new
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file or folder {source}") from error
    except Exception as error:  # tarfile, and what unpacks, raise errors of many kinds
        for target in new:  # an archive with damage in it may have given damaged files
            target.unlink()
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{source} is damaged or no archive: {reason.rstrip(':')}") from error
    if not found:
        raise UserError(f"{source} holds none of the files expected; is it the right download?")


def _target(path: str, wanted: dict[str, str], folder: Path) -> Path | None:
    """Return what the file at a path of a source becomes, None for one that is not wanted."""
    if OTHER_YEAR.search(path):
        return None
    for pattern, subfolder in wanted.items():
        if match := re.search(rf"(?:^|/){pattern}\Z", path):
            return folder / subfolder / match[1]
    return None


def _files_in(source: Path) -> Iterator[tuple[str, int, Callable[[], BinaryIO]]]:
    """Yield path, size and a function that opens it of every file in a folder or an archive.

    It has to be called before the next file is asked for, or reading would start anew.
    """
    if source.is_dir():
        name = source.resolve().name
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            inner = f"{name}/{path.relative_to(source).as_posix()}"
            yield inner, path.stat().st_size, functools.partial(path.open, "rb")
        return
    check_regular(source)
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, member.size, functools.partial(archive.extractfile, member)
        _check_end(archive.fileobj)


def _check_end(archive: BinaryIO) -> None:
    """Read what is behind the last header: zeros, and the checksum of a .tgz.

    tarfile takes a header that is damaged or missing for the end, without a word.
    """
    padding = archive.read(1 << 20)
    if not padding:
        raise ValueError("it ends early")
    while padding:
        if padding.strip(b"\0"):
            raise ValueError("a header in it is damaged, or there is more behind its end")
        padding = archive.read(1 << 20)


def _content(path: str, size: int, open_file: Callable[[], BinaryIO]) -> bytes:
    if size > MOST_OF_A_FILE:
        raise ValueError(f"{path} has {size:,} bytes, and at most {MOST_OF_A_FILE:,} are taken")
    with open_file() as file:
        return file.read()


def _is_whole(target: Path) -> bool:
    """Tell whether a file is there; an empty one is what a power cut may leave of a new file."""
    return target.exists() and target.stat().st_size > 0


def _write(target: Path, content: bytes) -> None:
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
    done = ahead(functools.partial(_write_mask, folder), todo, num_processors())
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


def read_sbd_labels(path: Path) -> np.ndarray:
    """Read GTcls.Segmentation of a .mat file of SBD: labels uint8 [H, W], 0 to 20.

    Raises UserError for a file that is missing, damaged or no mask.
    """
    try:
        truth = scipy.io.loadmat(path, variable_names=["GTcls"])["GTcls"]
        labels = truth["Segmentation"][0, 0]
        known = np.isin(labels, np.arange(21))
    except FileNotFoundError as error:
        raise UserError(f"neither source holds a mask for {path.stem}") from error
    except Exception as error:  # scipy raises errors of many kinds on damaged files
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is damaged or no mask of SBD: {reason}", path) from error
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "uif" or not known.all():
        what = f"its sides are {labels.shape}, its labels not all from 0 to 20"
        raise UserError(f"{path} is no mask of SBD: {what}", path)
    return labels.astype(np.uint8)


if __name__ == "__main__":
    run(main, parser())
