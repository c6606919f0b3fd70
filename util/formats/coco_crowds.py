"""What `iscrowd: 1` means in a file: groups of objects, or objects written as run lengths.

In COCO's own files a crowd is a group that nobody outlined one by one. Datumaro, which CVAT exports
with, sets the same for every mask; supervision for objects with holes or several parts; V7 for
those of several paths.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from util.formats.coco_regions import parts_of_region, pixels_of

_LOOKED_AT = 200  # crowd regions of a file that are decoded
_WITHIN = 0.8  # the share of a region inside a crowd that makes it one of the group


class Crowds:
    """Decides by category whether crowd regions are drawn, and remembers it for the user.

    crowds: `void` or `class`, which the user said for all of them, or None.
    """

    def __init__(self, crowds: str | None):
        self._said = crowds
        self._counts = {"class": Counter(), "void": Counter()}

    def drawn(self, annotations: Sequence[dict], names: dict[int, str]) -> set[str]:
        """Return the names of a file's categories whose crowd regions have their class.

        Those are categories most of whose regions are crowds, and, where all crowds of a file have
        holes or several parts and no polygons do, all; but none with a region inside a crowd.
        """
        by_name = defaultdict(list)
        for each in annotations:
            by_name[names[int(each["category_id"])]].append(each)
        crowds = {n: c for n, all_ in by_name.items() if (c := [*filter(_is_crowd, all_)])}
        written_so = bool(crowds) and not self._said and _all_in_parts(annotations)
        drawn = set()
        for name, found in crowds.items():
            most = len(found) > len(by_name[name]) / 2
            guess = (most or written_so) and not _cover(found, by_name[name])
            meaning = self._said or ("class" if guess else "void")
            self._counts[meaning][name] += len(found)
            drawn |= {name} if meaning == "class" else set()
        return drawn

    def notes(self) -> list[str]:
        """Return a line for the regions that are drawn, and one for those that are void."""
        words = {
            "class": "regions with iscrowd 1, drawn as their class (--crowds void: as void)",
            "void": "crowd regions, void (--crowds class: drawn as their class)",
        }
        return [
            f"{words[meaning]}: {', '.join(f'{name} {n}' for name, n in counts.most_common(10))}"
            for meaning, counts in self._counts.items()
            if counts
        ]


def _is_crowd(annotation: dict) -> bool:
    return bool(annotation.get("iscrowd"))


def _pixels(annotation: dict, size: Sequence[int]) -> np.ndarray | None:
    """Return the pixels of a region, None where there are none or it is damaged."""
    try:
        good, _ = parts_of_region(annotation.get("segmentation"))
        return pixels_of(good, *size) if good else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # what draws it names it


def _crowd_masks(crowds: Sequence[dict]) -> list[tuple[dict, np.ndarray]]:
    runs = [c for c in crowds if isinstance(c.get("segmentation"), dict)][:_LOOKED_AT]
    masks = [(each, _pixels(each, each["segmentation"].get("size", ()))) for each in runs]
    return [(each, mask) for each, mask in masks if mask is not None]


def _all_in_parts(annotations: Sequence[dict]) -> bool:
    """Return whether crowds are all that has holes or several parts in a file."""
    plain = (each.get("segmentation") for each in annotations if not _is_crowd(each))
    if any(isinstance(s, list) and s and isinstance(s[0], list) and len(s) > 1 for s in plain):
        return False
    masks = _crowd_masks([each for each in annotations if _is_crowd(each)])
    return bool(masks) and all(
        ndimage.label(mask)[1] > 1 or (ndimage.binary_fill_holes(mask) != mask).any()
        for _, mask in masks
    )


def _cover(crowds: Sequence[dict], of_same: Sequence[dict]) -> bool:
    """Return whether a crowd lies over another region of its category."""
    others = defaultdict(list)
    for each in of_same:
        if not _is_crowd(each):
            others[str(each["image_id"])].append(each)
    for crowd, mask in _crowd_masks(crowds):
        for other in others[str(crowd["image_id"])]:
            inside = _pixels(other, mask.shape)
            if inside is not None and mask[inside].sum() > _WITHIN * inside.sum() > 0:
                return True
    return False
