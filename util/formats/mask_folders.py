"""Two folders, of pictures and of masks: grey values as they are or mapped, or colours."""

import functools
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data.class_files import ClassFile, class_file_in, read_class_file
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import CLASS_NAMES, VOID
from util.formats import DataSet, mask_values
from util.formats.json_files import Notes
from util.formats.pairs import find_pairs, split_of

_SHOWN = 30  # values or colours of masks, for people to name
_VOC_COLORS = {*VOC.colors[: len(CLASS_NAMES)], *VOC.void_colors}


class _Said(NamedTuple):
    """What files say: which files, the palette, and how they map the values of each mask, if so."""

    files: list[str | Path]
    palette: Classes
    maps: list[mask_values.LabelMap]


def from_mask_folders(settings) -> DataSet:
    """Pair pictures with masks, look at the values in all of them, and say what becomes of them."""
    pairs, alone, masks_alone = find_pairs(settings)
    masks = [item.mask for item in pairs]
    found, said = mask_values.look_at_masks(masks), _said(settings, masks)
    in_colors = bool(said.palette.colors) and not said.maps and not settings.label_map
    if all(each.is_grey for each in found) and not (in_colors and any(e.is_rgb for e in found)):
        if not settings.label_map:
            mask_values.check_palettes(said.palette, few(said.files), found, masks)
        classes, draws = _of_values(settings, said, found, masks)
    else:
        classes, draws = _of_colors(settings, said, found)
    items = [
        item._replace(draw=draw and functools.partial(draw, item.mask))
        for item, draw in zip(pairs, draws, strict=True)
    ]
    alone = [item._replace(split=split_of(item.name)) for item in alone]
    tests = [item for item in alone if item.split == "test"]  # which may do without masks
    notes = Notes()
    notes.add("pictures without masks", *[item.name for item in alone if item.split != "test"])
    notes.add("masks without pictures", *masks_alone)
    notes.add("files that name the classes", *said.files)
    return DataSet(classes, items + tests, notes.lines())


def _said(settings, masks: Sequence[Path]) -> _Said:
    """Read the file of classes that a flag names, else those that tools have put beside masks.

    Files that number classes differently are brought together by name.
    """
    given = settings.palette or settings.class_names
    files = [given] * len(masks)
    if not (settings.palette or settings.label_map or mask_values.ready_for(masks)):
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
    labels = filter(None, (said[file].labels for file in files))
    maps = [mask_values.LabelMap({VOID: VOID} | each) for each in labels]
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
    settings, said: _Said, found: Sequence[mask_values.Found]
) -> tuple[Classes, list[functools.partial]]:
    in_rgb = [
        {v if isinstance(v, tuple) else (v,) * 3: n for v, n in f.counts.items()} for f in found
    ]
    counts, masks = _counted(in_rgb)
    if not said.palette.colors:
        raise UserError(_name_the_colors(counts))
    known = said.palette.labels_by_color
    if unknown := [color for color, _ in counts.most_common() if color not in known]:
        raise UserError(
            f"{len(unknown)} colours are not in {said.files[0]}: {few(unknown, 5)}, the first "
            f"in {masks[unknown[0]]} masks; add them to it, or correct the masks"
        )
    draw = functools.partial(_draw_colors, said.palette)
    return _named(settings, said.palette), [draw] * len(found)


def _counted(counts: Sequence[dict]) -> tuple[Counter, Counter]:
    """Count the pixels of each value or colour in all masks, and the masks that have it."""
    return sum(map(Counter, counts), Counter()), Counter(value for each in counts for value in each)


def _named(settings, palette: Classes) -> Classes:
    """Return the classes that the settings name; `voc` names VOC's."""
    if settings.class_names and settings.palette:
        names = _read(settings.class_names).classes
        keeps_colors = not names.colors and len(palette.colors) == len(names.names)
        return palette._replace(names=names.names) if keeps_colors else names
    return palette if palette.names or settings.palette != "voc" else Classes(CLASS_NAMES)


def _name_the_colors(counts: Counter) -> str:
    """Print the colours as a palette to fill in; return what is to be done."""
    for number, (color, count) in enumerate(counts.most_common(_SHOWN)):
        print(f"# {count / counts.total():.2%} of the pixels:\nclass{number}", *color)
    hint = "; all of them are VOC's: --palette voc names them" if set(counts) <= _VOC_COLORS else ""
    return (
        f"{len(counts)} colours stand for labels; put these lines into a file in the order of the "
        "labels, name the classes in it (void for what does not count), and give the file as "
        f"--palette{hint}"
    )


def _of_values(
    settings, said: _Said, found: Sequence[mask_values.Found], masks: Sequence[Path]
) -> tuple[Classes, list[functools.partial | None]]:
    """Return the classes, and what draws each mask; None where it holds the labels as they are."""
    named, kind = _named(settings, said.palette), mask_values.ready_for(masks)
    maps = _label_maps(settings, said, kind) or [_labels_already(found, named, said, kind)]
    pairs = [*zip(maps if len(maps) > 1 else maps * len(masks), found, strict=True)]
    values = {v for one, each in pairs if one.rest is None for v in {*each.counts} - {*one.labels}}
    if values:
        origin = (
            f"--label_map {settings.label_map}" if settings.label_map else few(said.files or [kind])
        )
        raise UserError(
            f"{origin} says nothing of the values {few(sorted(values), 10)}; add them, or give a "
            "--label_map with *:void for all others"
        )
    classes, number = named if named.names else maps[0].classes, max(m.num_classes for m in maps)
    if classes.names and len(classes.names) < number:
        raise UserError(f"{len(classes.names)} classes are named, and there are {number} labels")
    classes = classes if classes.names else Classes(tuple(f"class {n}" for n in range(number)))
    changed = any(one.labels.get(v) != v for one, each in pairs for v in each.counts)
    as_it_is = not (settings.label_map or changed or any(each.is_rgb for each in found))
    return classes, [None if as_it_is else functools.partial(_draw_values, m) for m, _ in pairs]


def _label_maps(settings, said: _Said, kind: str | None) -> list[mask_values.LabelMap]:
    """Return the label maps: the flag's, those of files, or what the masks' names ask for."""
    if {kind, settings.label_map} == {"cityscapes", mask_values.TRAIN_IDS}:
        raise UserError(f"by the masks' names, --label_map {kind} fits, not {settings.label_map}")
    if settings.label_map:
        return [mask_values.read_label_map(settings.label_map)]
    asked = kind == mask_values.TRAIN_IDS and not said.files
    return [mask_values.ready_map(kind)] if asked else said.maps


def _labels_already(
    found: Sequence[mask_values.Found], named: Classes, said: _Said, kind: str | None
) -> mask_values.LabelMap:
    """Map labels from 0 on to themselves; raises UserError for other values, and for 0 and 255."""
    counts, masks = _counted([each.counts for each in found])
    labels = sorted(set(counts) - {VOID})
    if not labels:
        raise UserError(f"every pixel of the masks is {VOID}, which is void: nothing is labelled")
    are_some = labels[-1] < (len(named.names) or len(labels)) and (named.names or not kind)
    if are_some and (len(labels) > 1 or VOID not in counts):
        return mask_values.LabelMap({value: value for value in counts})
    print(f"{'value':>8}{'pixels':>10}{'masks':>8}")
    for value, count in sorted(counts.items())[:_SHOWN]:
        print(f"{value:>8}{count / counts.total():>10.2%}{masks[value]:>8}")
    if len(counts) > _SHOWN:
        print(f"{'...':>8} and {len(counts) - _SHOWN} more")
    few_names = f"; {few(said.files)} names {len(named.names)} classes" if named.names else ""
    raise UserError(
        f"these values are not labels 0 to n - 1 (255 being void){few_names}; say what they "
        f"become: {mask_values.fitting_map(counts, kind)}"
    )


def _draw_values(label_map: mask_values.LabelMap, mask: Path) -> np.ndarray:
    return label_map.applied(mask_values.values_or_colors(mask))


def _draw_colors(palette: Classes, mask: Path) -> np.ndarray:
    pixels = mask_values.values_or_colors(mask)
    return palette.labels_of(np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels)
