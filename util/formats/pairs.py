"""Which picture goes with which mask, by their names, and which of them with which list."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import normalize

from deeplab_lfov.data.list_files import pictures_in
from deeplab_lfov.errors import UserError, few
from util.formats import Item

SPLITS = {
    "train": re.compile(r"train(ing)?(\d{4})?"),
    "val": re.compile(r"val(id|idation)?(\d{4})?"),
    "test": re.compile(r"test(ing)?(\d{4})?"),
}
"""The lists, and what folders with their pictures are called."""


def find_pairs(settings) -> tuple[list[Item], list[Item], list[Path]]:
    """Pair the files of two folders and those below, by sub-folder and name without suffix.

    Returns pictures with masks, pictures and masks alone. A name that occurs once on either side is
    enough where the two sides call their sub-folders differently; of folders that both have, one's
    masks are not another's. With suffixes (`_leftImg8bit`) only names that end so count. Raises
    UserError where nothing pairs.
    """
    images, masks, leave = settings.images, settings.masks, settings.output_dir
    image_suffix, mask_suffix = settings.image_suffix, settings.mask_suffix
    same = images.resolve() == masks.resolve()
    if same and image_suffix == mask_suffix:
        raise UserError(
            f"pictures and masks are both in {images}; say with --mask_suffix how the names of "
            "masks end"
        )
    pictures = find_pictures(images, image_suffix, leave, *([] if same else [masks]))
    if same and mask_suffix:
        pictures = [item for item in pictures if not item.image.stem.endswith(mask_suffix)]
    files = _files(masks, mask_suffix, leave)
    if same and not mask_suffix:
        files = [path for path in files if not path.stem.endswith(image_suffix)]
    found = {_key(path, masks, mask_suffix): path for path in files}
    _check_once([_key(path, masks, mask_suffix) for path in files], "masks")
    keys = [_key(item.name, Path(), image_suffix) for item in pictures]
    by_name = _elsewhere(keys, found)
    both = [found.get(key) or by_name.get(key) for key in keys]
    items = [item._replace(mask=mask) for item, mask in zip(pictures, both, strict=True)]
    if not found:
        raise UserError(f"there are no masks in {masks}, by their endings; see --mask_suffix")
    if not any(both):
        raise UserError(
            f"no picture in {images} has a mask in {masks}: their names are like "
            f"{pictures[0].image.name} and {min(found.values()).name}; see --image_suffix and "
            "--mask_suffix"
        )
    masks_alone = sorted({*found.values()} - {*both})
    return [i for i in items if i.mask], [i for i in items if not i.mask], masks_alone


def find_pictures(images: Path, suffix: str = "", *leave: Path | None) -> list[Item]:
    """List the pictures of a folder and those below, without those of the folders to leave."""
    files = _files(images, suffix, *leave)
    if not files:
        ends = f" whose names end with {suffix}" if suffix else ""
        raise UserError(f"there are no pictures in {images}{ends}")
    items = [Item(path, composed(path.relative_to(images))) for path in files]
    _check_once([item.name.with_suffix("") for item in items], "pictures")
    return items


def _check_once(names: Sequence[Path], what: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"several {what} have the same name with other endings: {few(twice)}")


def split_of(name: Path) -> str | None:
    """Return the list that a picture's topmost folder stands for, such as train2017 for train."""
    folder = name.parts[0].lower() if len(name.parts) > 1 else ""
    return next((split for split, words in SPLITS.items() if words.fullmatch(folder)), None)


def divided(items: list[Item], val: float | None, seed: int, group: str | None) -> list[Item]:
    """Return the items with their lists: those they have, those of their folders, or drawn ones.

    val: the share of val.txt, of groups of pictures whose names have the same match of the pattern
    `group`; None for 0.1 where no folder says it. Raises UserError for a name without match.
    """
    rest = [item for item in items if not item.split]
    if val is None and group is None and all(split_of(item.name) for item in rest):
        return [item._replace(split=item.split or split_of(item.name)) for item in items]
    groups = {item: _group(item.name, group) for item in rest}
    names = sorted(set(groups.values()))
    share = 0.1 if val is None else val
    count = min(len(names) - 1, max(1, round(share * len(names)))) if share else 0
    chosen = set(random.Random(seed).sample(names, max(count, 0)))
    drawn = {item: "val" if groups[item] in chosen else "train" for item in rest}
    return [item._replace(split=item.split or drawn[item]) for item in items]


def composed(path: object) -> Path:
    """Return a path whose letters have their accents in them, which macOS takes apart."""
    return Path(normalize("NFC", str(path)))


def _group(name: Path, pattern: str | None) -> str:
    if pattern is None:
        return name.as_posix()
    if not (match := re.search(pattern, name.as_posix())):
        raise UserError(f"--group {pattern} matches nothing in the name {name.as_posix()}")
    return match.group(min(1, match.re.groups)) or ""


def _files(folder: Path, suffix: str, *leave: Path | None) -> list[Path]:
    files = [path for path in pictures_in(folder) if path.stem.endswith(suffix)]
    left = {each.resolve() for each in leave if each}
    return [path for path in files if left.isdisjoint(path.resolve().parents)]


def _key(path: Path, folder: Path, suffix: str) -> Path:
    path = composed(path.relative_to(folder))
    return path.with_name(path.stem.removesuffix(suffix) or path.stem)


def _elsewhere(pictures: Iterable[Path], masks: dict[Path, Path]) -> dict[Path, Path]:
    """Pair what has a name of its own on both sides and lies in folders that only one side has."""
    names = [Counter(key.name for key in keys) for keys in (pictures, masks)]
    shared = {key.parent for key in pictures} & {key.parent for key in masks} - {Path()}
    places = {key.name: key for key in masks}
    pairs = {}
    for key in pictures:
        if names[0][key.name] == names[1][key.name] == 1:
            place = places[key.name]
            if shared.isdisjoint({key.parent, place.parent}):
                pairs[key] = masks[place]
    return pairs
