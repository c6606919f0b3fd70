"""Two folders, of pictures and of masks: grey values as they are or mapped, or colours."""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import VOC, Classes
from deeplab_lfov.data.class_files import classes_from, read_palette
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import CLASS_NAMES, VOID
from util.formats import DataSet, Item
from util.formats.mask_values import (
    LabelMap,
    check_palettes,
    look_at_masks,
    read_label_map,
    values_or_colors,
)
from util.formats.pairs import Pairs, find_pairs, split_of

_SHOWN = 30  # values or colours of masks, for people to name
_VOC_COLORS = {*VOC.colors[: len(CLASS_NAMES)], *VOC.void_colors}


def from_mask_folders(settings) -> DataSet:
    """Pair pictures with masks, look at the values in all of them, and say what becomes of them.

    Raises UserError, with the values and the flag that fits, where nobody said what they mean.
    """
    suffixes = settings.image_suffix, settings.mask_suffix
    pairs = find_pairs(settings.images, settings.masks, *suffixes, leave=settings.output_dir)
    found = look_at_masks([item.mask for item in pairs.items])
    counts = sum((Counter(each.counts) for each in found), Counter())
    masks = Counter(value for each in found for value in each.counts)
    if all(each.is_grey for each in found):
        if not settings.label_map:
            check_palettes(settings.palette, found, [item.mask for item in pairs.items])
        classes, draw = _of_values(settings, counts, masks, pairs.items)
    else:
        classes, draw = _of_colors(settings, counts, masks)
    items = [
        item._replace(draw=draw and functools.partial(draw, item.mask)) for item in pairs.items
    ]
    return DataSet(classes, items + _tests(pairs.images), _notes(pairs))


def _of_colors(settings, counts: Counter, masks: Counter) -> tuple[Classes, functools.partial]:
    greys = {value: (value,) * 3 for value in counts if isinstance(value, int)}
    counts, masks = ({greys.get(v, v): n for v, n in each.items()} for each in (counts, masks))
    if not settings.palette:
        raise UserError(_name_the_colors(counts))
    palette = read_palette(settings.palette)
    if unknown := sorted(
        set(counts) - {*palette.labels_by_color}, key=lambda color: -counts[color]
    ):
        raise UserError(
            f"{len(unknown)} colours are not in {settings.palette}: {few(unknown, 5)}, the first "
            f"in {masks[unknown[0]]} masks; add them to it, or correct the masks"
        )
    return _named(settings, palette), functools.partial(_draw_colors, palette)


def _named(settings, palette: Classes) -> Classes:
    """Return the classes that the settings name; `voc` names VOC's."""
    classes = classes_from(settings.class_names, palette, None)
    return classes if classes.names or settings.palette != "voc" else Classes(CLASS_NAMES)


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
    settings, counts: Counter, masks: Counter, items: Sequence[Item]
) -> tuple[Classes, functools.partial | None]:
    """Return the classes, and what draws the labels; None where the masks hold them as they are."""
    palette = read_palette(settings.palette) if settings.palette else Classes()
    classes = _named(settings, palette)
    if settings.label_map:
        label_map = read_label_map(settings.label_map)
        if unknown := label_map.unknown(sorted(counts)):
            raise UserError(
                f"--label_map {settings.label_map} says nothing of {few(unknown, 10)}; add them, "
                "or *:void for all others"
            )
        named = classes if classes.names else label_map.classes
        return _checked(named, label_map.num_classes), functools.partial(_draw_values, label_map)
    labels = sorted(set(counts) - {VOID})
    num_classes = len(classes.names) or len(labels)
    if labels and labels[-1] < num_classes and (len(labels) > 1 or VOID not in counts):
        return _checked(classes, num_classes), None
    _print_values(counts, masks)
    raise UserError(
        f"these values are no labels 0 to n - 1 (255 being void); say what they become: "
        f"{_fitting_map(sorted(counts), items)}"
    )


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


def _fitting_map(values: list[int], items: Sequence[Item]) -> str:
    if values == [0, VOID]:
        return "--label_map 0:0,255:1, or 0:0,255:void with other classes if 255 is unlabelled"
    others = [value for value in values if value != VOID]
    ready = "; for ADE20K --label_map ade20k" if others[-1:] <= [150] else ""
    if others[-1:] <= [33] or "labelIds" in items[0].mask.stem:
        ready = "; for Cityscapes --label_map cityscapes"
    pairs = [f"{value}:{label}" for label, value in enumerate(others)]
    pairs += ["255:void"] if VOID in values else []
    return f"--label_map {few(pairs, _SHOWN).replace(', ', ',')}{ready}"


def _draw_values(label_map: LabelMap, mask: Path) -> np.ndarray:
    return label_map.applied(values_or_colors(mask))


def _draw_colors(palette: Classes, mask: Path) -> np.ndarray:
    pixels = values_or_colors(mask)
    return palette.labels_of(np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels)


def _tests(images: Iterable[Item]) -> list[Item]:
    """Return the pictures of a test folder, which may do without masks."""
    tests = [item._replace(split=split_of(item.name)) for item in images]
    return [item for item in tests if item.split == "test"]


def _notes(pairs: Pairs) -> list[str]:
    alone = [item for item in pairs.images if split_of(item.name) != "test"]
    notes = {
        "pictures without masks": [item.name for item in alone],
        "masks without pictures": pairs.masks,
    }
    return [f"{what} ({len(names)}): {few(names)}" for what, names in notes.items() if names]
