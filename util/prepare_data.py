#!/usr/bin/env python3
"""Turn pictures and annotations as people have them into a data set that the scripts take.

The folder that it writes has train.txt, val.txt and test.txt, classes.txt, masks that had to change
and a preview. Pictures, and masks that hold labels already, stay where they are.
"""

import argparse
import functools
import itertools
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.classes import Classes
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.console import class_table, progress
from deeplab_lfov.data import image_files
from deeplab_lfov.data.class_files import CLASSES
from deeplab_lfov.data.dataset_check import DatasetSummary, Finding, doubts
from deeplab_lfov.data.list_files import Sample, check_sizes, exif_orientation, parse_list
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.files import locked, whole_file, writable_folder
from deeplab_lfov.overlap import ahead, num_processors
from deeplab_lfov.settings import PATH, SHARE, WHOLE
from deeplab_lfov.voc import VOID
from util.formats import Item
from util.formats.class_masks import from_class_masks
from util.formats.coco import from_coco
from util.formats.labelme import from_labelme
from util.formats.mask_folders import from_mask_folders
from util.formats.mask_values import READY
from util.formats.pairs import SPLITS, divided

FORMATS = {
    "masks": from_mask_folders,
    "class_masks": from_class_masks,
    "coco": from_coco,
    "labelme": from_labelme,
}
"""By the flag that says where the annotations are, the function that reads them."""

_MARK = "# made by prepare_data.py, which replaces it when run again"
_MASKS, _PREVIEW = "masks", "preview.png"
_SHOWN = 10  # pictures in the preview

DEFAULTS = {"image_suffix": "", "mask_suffix": "", "seed": 0}
_FLAGS_OF = {
    **dict.fromkeys(("label_map", "palette", "image_suffix", "mask_suffix"), ("masks",)),
    **dict.fromkeys(("crowds", "draw_boxes"), ("coco",)),
    "skip_lost": ("coco", "labelme"),
}
OPTIONAL = (*FORMATS, *_FLAGS_OF, "class_names", "val", "group")


def parser() -> Parser:
    """Make the parser of prepare_data.py."""
    p = Parser("Make a data set of pictures and annotations.", DEFAULTS)
    p.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of pictures")
    kinds = p.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--masks", type=Path, metavar="DIR", help="folder of masks, of like names")
    kinds.add_argument("--class_masks", type=Path, metavar="DIR", help="a PNG for each class")
    kinds.add_argument("--coco", type=Path, nargs="+", help="COCO's instances; train, val and test")
    kinds.add_argument("--labelme", type=Path, metavar="DIR", help="folder of LabelMe's JSON files")
    p.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="the data set")
    p.add_argument("--image_suffix", help="how pictures' names end, such as _leftImg8bit")
    p.add_argument("--mask_suffix", help="how masks' names end, such as _mask")
    maps = f"what values become: 0:0,255:1,*:void, a file of such lines, {', '.join(READY)}"
    p.add_argument("--label_map", type=PATH, metavar="MAP", help=maps)
    p.add_argument("--palette", type=PATH, help="file of classes and their colours, or voc")
    p.add_argument("--class_names", type=PATH, help="file that names a class in each line")
    p.add_argument("--crowds", choices=["void", "class"], help="what COCO's iscrowd 1 is drawn as")
    p.add_argument("--draw_boxes", action="store_true", help="draw COCO's boxes without outlines")
    p.add_argument("--skip_lost", action="store_true", help="go on without regions of no extent")
    p.add_argument("--val", type=SHARE, help="share of val.txt, else as folders say, or 0.1")
    p.add_argument("--group", metavar="REGEX", help="what in names stays together")
    p.add_argument("--seed", type=WHOLE, help="decides which pictures are val.txt's")
    return p


def main(given: dict[str, object]) -> None:
    """Read the annotations, write the masks, then lists, classes and preview; say what came out."""
    settings = argparse.Namespace(**dict.fromkeys(OPTIONAL) | DEFAULTS | given)
    _check(settings)
    find = next(FORMATS[name] for name in FORMATS if getattr(settings, name))
    data = find(settings)
    _check_classes(data.classes.names)
    items = divided(data.items, settings.val, settings.seed, settings.group)
    folder, items = writable_folder(settings.output_dir), list(map(_copied, items))
    with locked(folder / ".lock", "makes a data set in it", "--output_dir"):
        older = _check_free(folder, items)
        names = (f"{_MASKS}-{n}" if n > 1 else _MASKS for n in itertools.count(1))
        masks = next(folder / name for name in names if not (folder / name).exists())
        try:
            written, summary = _write_masks(masks, items, data.classes)
            _check_labeled(data.classes, summary.label_counts)
        except BaseException:
            _remove(_mask_of(masks, item) for item in items)
            raise
        _replace_texts(folder, written, data.classes)
        _remove(mask for mask in older if mask and folder in mask.parents)
        _write_preview(folder, written, data.classes)
    samples = [Sample(item.image, item.mask) for item in written]
    warnings = [f"warning: {line}" for line in doubts(summary, samples)]
    for line in [*data.notes, *warnings, *_said(settings.output_dir, written, summary)]:
        print(printable(line))


def _check(settings: argparse.Namespace) -> None:
    """Raise UserError for flags that do nothing beside the others or cannot be followed."""
    for name, formats in _FLAGS_OF.items():
        if getattr(settings, name) and not any(getattr(settings, each) for each in formats):
            raise UserError(f"--{name} is for --{' and --'.join(formats)}; leave it out")
    for folder in (settings.images, settings.masks, settings.class_masks, settings.labelme):
        if folder and not folder.is_dir():
            raise UserError(f"there is no folder {folder}")
    if settings.coco and len(settings.coco) > len(SPLITS):
        raise UserError(f"--coco takes {len(SPLITS)} files at most: {', '.join(SPLITS)}")
    if settings.coco and len(settings.coco) > 1 and (settings.val, settings.group) != (None, None):
        raise UserError("--val and --group are for one file of --coco; leave them out")
    try:
        re.compile(settings.group or "")
    except re.error as error:
        raise UserError(f"--group {settings.group!r} is no regular expression: {error}") from error


def _check_classes(names: Sequence[str]) -> None:
    """Raise UserError for one class alone, and for names that classes.txt would not give back."""
    if len(names) < 2:
        raise UserError(
            f"there is only one class, {names[0]}, so there is nothing to tell apart; look at the "
            "annotations, or name more classes with --class_names"
        )
    for name in names:
        if name in ("", "void") or name.startswith("#") or name != printable(name).strip():
            raise UserError(f"a class cannot be called {name!r}; rename it with --class_names")


def _check_free(folder: Path, items: Sequence[Item]) -> list[Path | None]:
    """Return the masks of older lists; raises UserError for files that are not this script's."""
    lists = [folder / f"{split}.txt" for split in SPLITS]
    for path in filter(Path.exists, [*lists, folder / CLASSES]):
        if not path.read_bytes().startswith(_MARK.encode()):
            raise UserError(f"{path} exists and was not made by this script; choose another folder")
    older = [parse_list(folder, path, masks=False) for path in lists if path.exists()]
    image_files.check_replaceable(folder / _PREVIEW, image_files.DATA_SET)
    for item in items:
        if re.search("[\n\r\ud800-\udfff]", f"{item.image}{item.mask}"):
            raise UserError(f"the name {item.image} has a line break or is not UTF-8; rename it")
    return [sample.mask for samples in older for sample in samples]


def _copied(item: Item) -> Item:
    """Let a mask that this program may write over, a prediction, be copied into the data set."""
    if item.draw or not item.mask or not image_files.is_output(item.mask):
        return item
    return item._replace(draw=functools.partial(image_files.read_mask, item.mask, VOID))


def _remove(masks: Iterable[Path]) -> None:
    """Remove the masks that this script has written, and the folders that are empty then."""
    for mask in masks:
        if image_files.is_output(mask, image_files.DATA_SET, image_files.PREDICTED):
            mask.unlink()
        with suppress(OSError):  # it holds others
            os.removedirs(mask.parent)


def _mask_of(folder: Path, item: Item) -> Path:
    return folder / item.name.with_suffix(".png")


def _write_masks(
    folder: Path, items: list[Item], classes: Classes
) -> tuple[list[Item], DatasetSummary]:
    """Write the masks that are drawn, on all cores; return items with masks, and what they hold."""
    for place in {_mask_of(folder, item).parent for item in items if item.draw}:
        place.mkdir(parents=True, exist_ok=True)
    masked = [item for item in items if item.mask or item.draw]
    done = ahead(lambda item: _write_one(folder, item, classes), masked, num_processors())
    summary = DatasetSummary(classes.names, progress(done, len(masked), "masks"))
    if faults := summary.faults:
        raise UserError(f"{len(faults)} of {len(masked)} pictures are faulty: {few(faults, 2)}")
    drawn = {item: item._replace(mask=_mask_of(folder, item), draw=None) for item in items}
    return [drawn[item] if item.draw else item for item in items], summary


def _write_one(folder: Path, item: Item, classes: Classes) -> Finding:
    """Draw and write a mask, or look at one; return what it holds, or what is wrong."""
    sample = Sample(item.image, item.mask)
    try:
        labels = item.draw() if item.draw else image_files.read_mask(item.mask, len(classes.names))
        size, orientation = image_files.image_size(item.image), exif_orientation(item.image)
        check_sizes(sample, size, labels.shape)
        if (beyond := labels[labels != VOID].max(initial=0)) >= len(classes.names):
            raise UserError(f"{item.mask or item.image}: no class is named for the label {beyond}")
        if item.draw:
            place, origin = _mask_of(folder, item), image_files.DATA_SET
            if item.mask and image_files.is_output(
                item.mask, image_files.SOFTWARE, image_files.PREDICTED
            ):
                origin = image_files.PREDICTED
            image_files.write_mask(place, labels, origin, classes.table)
        counts = np.bincount(labels.ravel(), minlength=256)
        return Finding(sample, size, counts, orientation=orientation)
    except UserError as error:
        return Finding(sample, fault=str(error))


def _check_labeled(classes: Classes, counts: np.ndarray) -> None:
    """Raise UserError where the masks have nothing to learn: void alone, or label 0 alone."""
    found = [label for label in (0, VOID) if counts[label]]
    if counts[found].sum() == counts.sum():
        names = " or ".join("void" if label else classes.names[0] for label in found)
        raise UserError(
            f"every pixel of the masks is {names}: no object is labelled; check that the "
            "annotations belong to these pictures"
        )


def _replace_texts(folder: Path, items: Sequence[Item], classes: Classes) -> None:
    """Put lists and classes.txt in the places of older ones, while none of the lists is there."""
    lines = defaultdict(list)
    for item in sorted(items, key=lambda item: [*SPLITS].index(item.split)):
        paths = [_name(folder, path) for path in (item.image, item.mask) if path]
        lines[f"{item.split}.txt"].append(" ".join(paths))
    colors = classes.table[: len(classes.names)].tolist()
    named = [*zip(classes.names, colors, strict=True)]
    named += [("void", color) for color in classes.void_colors]
    lines[CLASSES] = [f"{name} {red} {green} {blue}" for name, (red, green, blue) in named]
    with ExitStack() as texts:  # which closes the last first: whenever it ends, train.txt is last
        for name, rows in lines.items():
            partial = texts.enter_context(whole_file(folder / name))
            partial.write_text("\n".join([_MARK, *rows, ""]), encoding="utf-8")
        for split in SPLITS:
            (folder / f"{split}.txt").unlink(missing_ok=True)


def _name(folder: Path, path: Path) -> str:
    """Name a file below the data set's folder from there on, and any other by its whole path."""
    path, folder = path.absolute(), folder.absolute()
    return f"/{path.relative_to(folder)}" if folder in path.parents else str(path)


def _write_preview(folder: Path, items: Sequence[Item], classes: Classes) -> None:
    """Write a contact sheet: some pictures under their masks, with the legend."""
    from deeplab_lfov.inference.visualize import contact_sheet

    shown = [(item.image, item.mask) for item in items if item.mask]
    shown = shown[:: max(1, len(shown) // _SHOWN)][:_SHOWN]
    image_files.write_png(folder / _PREVIEW, contact_sheet(shown, classes), image_files.DATA_SET)


def _said(folder: Path, items: Sequence[Item], summary: DatasetSummary) -> list[str]:
    """Return the lines that tell what was made: the share of each class, and the lists."""
    counts = summary.label_counts
    rows = [*zip(summary.class_names, counts, strict=False), ("void", counts[VOID])]
    found = {name: f"{count / counts.sum():.2%}" for name, count in rows if count}
    sizes = {split: sum(item.split == split for item in items) for split in SPLITS}
    lists = ", ".join(f"{split}.txt {size:,}" for split, size in sizes.items() if size)
    return [
        *(f"  {line}" for line in class_table([*found], [*found.values()])),
        f"{folder}: pictures in {lists}; {len(summary.class_names)} classes in {CLASSES}",
        f"look at {folder / _PREVIEW} first, then: python train.py --data_dir {folder}",
    ]


if __name__ == "__main__":
    run(main, parser())
