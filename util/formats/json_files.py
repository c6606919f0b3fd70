"""What the formats in JSON share: files, names, sizes, points, and which picture they are of."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.data.image_files import image_size
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID
from util.formats import Item

IGNORE = "__ignore__"
"""The label of what is void."""

BOXED = "regions without an outline that can be drawn, void inside their boxes"
LOST = "regions without any extent, lost"

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""

_MOST_BYTES = 4 << 30  # COCO's instances of train2017 are 0.4 GB


def read_json(path: Path, keys: tuple[str, ...]) -> dict:
    """Read an object that has lists under the keys; raises UserError for any other file."""
    try:
        check_regular(path)
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has over {_MOST_BYTES >> 30} GiB")
        content = json.loads(path.read_bytes())
        missing = [key for key in keys if not isinstance(content.get(key), list)]
        if missing:
            raise ValueError(f"it has no list {missing[0]!r}")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", path) from error
    except (ValueError, AttributeError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is damaged or no annotations: {error}", path) from error
    return content


def checked_points(points: object, height: int, width: int) -> list[tuple[float, float]]:
    """Return points (x, y) in pixels; raises ValueError for anything else, and for far ones.

    The time and memory of drawing grow with how far apart they are.
    """
    points = [(float(x), float(y)) for x, y in points]
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError("a point is not finite")
        if not (-width <= x <= 2 * width and -height <= y <= 2 * height):
            raise ValueError(f"the point ({x:g}, {y:g}) is far outside the picture")
    return points


def box_of(points: object) -> Box | None:
    """Return the box around points, None where they have no extent."""
    corners = [*zip(*((float(x), float(y)) for x, y in points), strict=True)]
    if not corners:
        return None
    box = min(corners[0]), min(corners[1]), max(corners[0]), max(corners[1])
    return box if box[:2] != box[2:] else None


class Notes:
    """What a format leaves out or draws in another way, by what it is, for the user."""

    def __init__(self):
        self._found: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, what: str, *names: object, label: str = "") -> None:
        """Count things by what they are: their names, and the label that they have."""
        self._found[what] += [(label, str(name)) for name in names]

    def lines(self, total: int = 0, skip_lost: bool = False) -> list[str]:
        """Return a line for each kind.

        total: how many regions there are. Raises UserError where more than one and over 1 % of them
        are lost, unless skip_lost.
        """
        lines = {}
        for what, found in self._found.items():
            labels = Counter(label for label, _ in found if label).most_common()
            counts = few([f"{label} {count}" for label, count in labels], 10)
            names = few([name for _, name in found])
            said = f"{counts} ({names})" if counts else names
            lines[what] = f"{what} ({len(found)}): {said}"
        if len(self._found.get(LOST, ())) > max(1, total / 100) and not skip_lost:
            raise UserError(
                f"{lines[LOST]}, of {total}; their pixels would be background: correct them, or go "
                "on without them by --skip_lost"
            )
        return [line for what, line in lines.items() if self._found[what]]


def is_background(name: str) -> bool:
    """Return whether a name stands for what is no object, as different programs write it."""
    return name.strip("_ ").lower() in ("background", "bg")


def labels_of(names: Sequence[str], used: Collection[str]) -> dict[str, int]:
    """Return the labels of names, label 0 being what nothing is drawn over, however it is called.

    Raises UserError unless the names that annotations use are among them, and none of them is the
    first, unless that is background.
    """
    if len(names) >= VOID:
        raise UserError(f"there are {len(names)} classes; {VOID - 1} are the most")
    known = {name: 0 for name in used if is_background(name)} | {IGNORE: VOID}
    if unknown := sorted(set(used) - set(names) - set(known)):
        raise UserError(f"--class_names does not name {few(unknown)}, which annotations have")
    if names[0] in used and not is_background(names[0]):
        raise UserError(
            f"label 0 is what no annotation covers, and --class_names gives it the name {names[0]} "
            "that annotations have; begin with another, such as background"
        )
    return known | {name: label for label, name in enumerate(names)}


def with_background(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names behind background, which is label 0 whether it is among them or not."""
    rest = (name for name in names if name != IGNORE and not is_background(name))
    return ("background", *rest)


def size_of(image: Path, said: tuple[object, object]) -> tuple[int, int]:
    """Return (height, width) of a picture; raises UserError unless its annotations say the same.

    said: what they say, if they do; some programs write 0 or -1 for a size that they do not know.
    """
    size = image_size(image)
    if any(_pixels(there) not in (None, here) for there, here in zip(said, size, strict=True)):
        raise UserError(
            f"{image} has {size[0]} x {size[1]} pixels (height x width), and annotations for "
            f"{said[0]} x {said[1]}; annotate it anew, or use the picture that was annotated"
        )
    return size


def _pixels(value: object) -> float | None:
    """Return a length that annotations give, None where it is none."""
    try:
        length = float(value)
    except (TypeError, ValueError):
        return None
    return length if length > 0 else None


class PictureNames:
    """The pictures of a folder and those below, by what annotations call them.

    A path in an annotation may begin above or below that folder, have slashes of either kind and
    another ending. It is of a picture if one of the two is how the other ends, by whole names:
    `1.jpg` and `b/1.jpg` are of `data/b/1.jpg`, `a/1.jpg` is not.
    """

    def __init__(self, items: Iterable[Item]):
        self._by_stem: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            self._by_stem[item.name.stem].append(item)

    def find(self, said: str, is_right: Callable[[Item], bool] | None = None) -> Item | None:
        """Return the picture that a path is of, None where there is none.

        is_right: decides where it could be of several, if it holds for one alone. Raises UserError
        where it still could be of several.
        """
        parts = parts_of(said)
        found = [item for item in self._by_stem.get(_stem(parts), []) if _agree(item, parts)]
        for holds in (is_right, lambda item: item.name.parts == parts):
            chosen = [item for item in found if holds and holds(item)]
            found = chosen if len(chosen) == 1 else found
        if len(found) > 1:
            names = [item.name for item in found]
            raise UserError(
                f"{said} in the annotations could be any of {few(names)}; give the folder that "
                "its path starts from as --images"
            )
        return found[0] if found else None


def parts_of(said: str) -> tuple[str, ...]:
    """Split a path at slashes of either kind, without what leads up (`..`)."""
    return tuple(
        part for part in re.split(r"[\\/]+", normalize("NFC", said)) if part not in ("", ".", "..")
    )


def _stem(parts: tuple[str, ...]) -> str:
    return PurePosixPath(parts[-1]).stem if parts else ""


def _agree(item: Item, parts: tuple[str, ...]) -> bool:
    both = item.name.parent.parts, parts[:-1]
    shared = min(map(len, both))
    return not shared or both[0][-shared:] == both[1][-shared:]
