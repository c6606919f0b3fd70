"""Two folders, of pictures and of masks: grey values as they are or mapped, or colours."""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data.class_files import ClassFile, class_file_in, read_class_file
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import CLASS_NAMES, VOID
from util.formats import DataSet, Item
from util.formats.mask_values import (
    READY,
    TRAIN_IDS,
    Found,
    LabelMap,
    check_palettes,
    fitting_map,
    look_at_masks,
    read_label_map,
    ready_for,
    values_or_colors,
)
from util.formats.pairs import Pairs, find_pairs, split_of

_SHOWN = 30  # values or colours of masks, for people to name
_VOC_COLORS = {*VOC.colors[: len(CLASS_NAMES)], *VOC.void_colors}


class _Said(NamedTuple):
    """What files say: which files, the palette, and how they map the values of each mask, if so."""

    files: list[str | Path]
    palette: Classes
    maps: list[LabelMap]


def from_mask_folders(settings) -> DataSet:
    """Pair pictures with masks, look at the values in all of them, and say what becomes of them.

    Raises UserError, with the values and the flag that fits, where nobody said what they mean.
    """
    suffixes = settings.image_suffix, settings.mask_suffix
    pairs = find_pairs(settings.images, settings.masks, *suffixes, leave=settings.output_dir)
    masks = [item.mask for item in pairs.items]
    found, said = look_at_masks(masks), _said(settings, masks)
    in_colors = bool(said.palette.colors) and not said.maps and not settings.label_map
    if all(each.is_grey for each in found) and not (in_colors and any(e.is_rgb for e in found)):
        if not settings.label_map:
            check_palettes(said.palette, few(said.files), found, masks)
        classes, draws = _of_values(settings, said, found, masks)
    else:
        classes, draws = _of_colors(settings, said, found)
    items = [
        item._replace(draw=draw and functools.partial(draw, item.mask))
        for item, draw in zip(pairs.items, draws, strict=True)
    ]
    return DataSet(classes, items + _tests(pairs.images), _notes(pairs, said))


def _said(settings, masks: Sequence[Path]) -> _Said:
    """Read the file of classes that a flag names, else those that tools have put beside masks.

    Files that number classes differently are brought together by name; raises UserError where that
    cannot be.
    """
    given = settings.palette or settings.class_names
    files = [given] * len(masks)
    if not (settings.palette or settings.label_map or ready_for(masks)):
        beside = functools.cache(functools.partial(_file_beside, settings))
        with suppress(UserError) if given else nullcontext():  # the flag is the way out
            there = [beside(mask.parent) for mask in masks]
            differ = len({str(_read(file)) for file in set(there)}) > 1
            files = there if differ or not given else files
    said = {file: _read(file) for file in files}
    palette = said[files[0]].classes
    if any(each != said[files[0]] for each in said.values()):
        if not all(each.labels for each in said.values()):
            raise UserError(
                f"{few([*filter(None, said)])} name classes of some masks only, or differently; "
                "name those of all masks alike"
            )
        first = _read(settings.class_names).classes.names
        names = [*first, *(name for each in said.values() for name in each.classes.names)]
        palette = Classes(tuple(dict.fromkeys(names)))
        for file, (classes, labels) in said.items():
            new = dict(enumerate(map(palette.names.index, classes.names))) | {VOID: VOID}
            said[file] = ClassFile(palette, {v: new[label] for v, label in labels.items()})
    maps = [LabelMap({VOID: VOID} | said[file].labels) for file in files if said[file].labels]
    return _Said([file for file in said if file], palette, maps)


def _read(file: str | Path | None) -> ClassFile:
    if file is None:
        return ClassFile(Classes(), {})
    return ClassFile(VOC, {}) if file == "voc" else read_class_file(file)


def _file_beside(settings, folder: Path) -> Path | None:
    """Return the nearest file of classes, from a mask's folder up to that above --masks."""
    above = [folder, *folder.parents]
    above = above[: above.index(settings.masks) + 2]
    found = (class_file_in(each) for each in above if each != settings.output_dir)
    return next(filter(None, found), None)


def _of_colors(
    settings, said: _Said, found: Sequence[Found]
) -> tuple[Classes, list[functools.partial]]:
    counts, masks = (
        Counter({(v,) * 3 if isinstance(v, int) else v: n for v, n in each.items()})
        for each in _counted(found)
    )
    if not said.palette.colors:
        raise UserError(_name_the_colors(counts))
    if unknown := sorted(
        set(counts) - {*said.palette.labels_by_color}, key=lambda color: -counts[color]
    ):
        raise UserError(
            f"{len(unknown)} colours are not in {said.files[0]}: {few(unknown, 5)}, the first "
            f"in {masks[unknown[0]]} masks; add them to it, or correct the masks"
        )
    draw = functools.partial(_draw_colors, said.palette)
    return _named(settings, said.palette), [draw] * len(found)


def _counted(found: Sequence[Found]) -> tuple[Counter, Counter]:
    """Count the pixels of each value or colour in all masks, and the masks that have it."""
    pixels = sum((Counter(each.counts) for each in found), Counter())
    return pixels, Counter(value for each in found for value in each.counts)


def _named(settings, palette: Classes) -> Classes:
    """Return the classes that the settings name; `voc` names VOC's."""
    if settings.class_names and settings.palette:
        names = _read(settings.class_names).classes
        keeps_colors = not names.colors and len(palette.colors) == len(names.names)
        return palette._replace(names=names.names) if keeps_colors else names
    return palette if palette.names or settings.palette != "voc" else Classes(CLASS_NAMES)


def _name_the_colors(counts: dict) -> str:
    """Print the colours as a palette to fill in; return what is to be done."""
    total = sum(counts.values())
    for number, (color, count) in enumerate(Counter(counts).most_common(_SHOWN)):
        red, green, blue = color
        print(f"# {count / total:.2%} of the pixels are of\nclass{number} {red} {green} {blue}")
    hint = "; all of them are VOC's: --palette voc names them" if set(counts) <= _VOC_COLORS else ""
    return (
        f"{len(counts)} colours stand for labels; put these lines, in the order of the labels, "
        "into a file, name the classes in it, void for what does not count, and give it as "
        f"--palette{hint}"
    )


def _of_values(
    settings, said: _Said, found: Sequence[Found], masks: Sequence[Path]
) -> tuple[Classes, list[functools.partial | None]]:
    """Return the classes, and what draws each mask; None where it holds the labels as they are."""
    (counts, times), kind = _counted(found), ready_for(masks)
    named, is_rgb = _named(settings, said.palette), any(each.is_rgb for each in found)
    if maps := _label_maps(settings, said, kind, len(masks)):
        pairs = [*zip(maps, found, strict=True)]
        if unknown := {v for one, each in pairs for v in one.unknown(each.counts)}:
            origin = f"--label_map {settings.label_map}" if settings.label_map else few(said.files)
            raise UserError(
                f"{origin} says nothing of {few(sorted(unknown), 10)}; add them, or give a "
                "--label_map with *:void for all others"
            )
        most = max(each.num_classes for each in maps)
        classes = _checked(named if named.names else maps[0].classes, most)
        changed = any(one.labels.get(v) != v for one, each in pairs for v in each.counts)
        draws = [functools.partial(_draw_values, each) for each in maps]
        return classes, draws if settings.label_map or changed or is_rgb else [None] * len(masks)
    labels = sorted(set(counts) - {VOID})
    if not labels:
        raise UserError(f"every pixel of the masks is {VOID}, which is void: nothing is labelled")
    num_classes = len(named.names) or len(labels)
    if (
        (named.names or not kind)
        and labels[-1] < num_classes
        and (len(labels) > 1 or VOID not in counts)
    ):
        draw = functools.partial(_draw_values, LabelMap({value: value for value in counts}))
        return _checked(named, num_classes), [draw if is_rgb else None] * len(masks)
    _print_values(counts, times)
    few_names = f"; {few(said.files)} names {len(named.names)} classes" if named.names else ""
    raise UserError(
        f"these values are no labels 0 to n - 1 (255 being void){few_names}; say what they become: "
        f"{fitting_map(counts, kind)}"
    )


def _label_maps(settings, said: _Said, kind: str | None, number: int) -> list[LabelMap]:
    """Return a label map for each mask: the flag's, else that of files, else what names ask for."""
    if settings.label_map:
        if {kind, settings.label_map} == {"cityscapes", TRAIN_IDS}:
            raise UserError(f"the masks are Cityscapes' by their names: give --label_map {kind}")
        return [read_label_map(settings.label_map)] * number
    return [READY[TRAIN_IDS]] * number if kind == TRAIN_IDS and not said.files else said.maps


def _checked(classes: Classes | None, num_classes: int) -> Classes:
    if not classes or not classes.names:
        return Classes(tuple(f"class {label}" for label in range(num_classes)))
    if len(classes.names) < num_classes:
        raise UserError(f"{len(classes.names)} classes are named and there are {num_classes}")
    return classes


def _print_values(counts: Counter, masks: Counter) -> None:
    total = sum(counts.values())
    print(f"{'value':>8}{'pixels':>10}{'masks':>8}")
    for value, count in sorted(counts.items())[:_SHOWN]:
        print(f"{value:>8}{count / total:>10.2%}{masks[value]:>8}")
    if len(counts) > _SHOWN:
        print(f"{'...':>8} and {len(counts) - _SHOWN} more")


def _draw_values(label_map: LabelMap, mask: Path) -> np.ndarray:
    return label_map.applied(values_or_colors(mask))


def _draw_colors(palette: Classes, mask: Path) -> np.ndarray:
    pixels = values_or_colors(mask)
    return palette.labels_of(np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels)


def _tests(images: Iterable[Item]) -> list[Item]:
    """Return the pictures of a test folder, which may do without masks."""
    tests = [item._replace(split=split_of(item.name)) for item in images]
    return [item for item in tests if item.split == "test"]


def _notes(pairs: Pairs, said: _Said) -> list[str]:
    alone = [item for item in pairs.images if split_of(item.name) != "test"]
    notes = {
        "pictures without masks": [item.name for item in alone],
        "masks without pictures": pairs.masks,
        "files that name the classes": said.files,
    }
    return [f"{what} ({len(names)}): {few(names)}" for what, names in notes.items() if names]
