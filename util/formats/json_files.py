"""What the formats in JSON share: files, names, sizes, points, and which picture they are of."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import numpy as np
from PIL import Image

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.class_files import classes_from
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

DAMAGES = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError)
DAMAGES += (SyntaxError, TypeError, ValueError, Image.DecompressionBombError)
"""What damaged contents raise when they are read or drawn."""

_MOST_BYTES = 4 << 30  # COCO's instances of train2017 are 0.4 GB


@contextmanager
def damages(what: object, path: Path) -> Iterator[None]:
    """Raise UserError about something in a file for what its contents make the block raise."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {what}: {error.strerror or error}", path) from error
    except DAMAGES as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{what} is damaged or of another format: {reason}", path) from error


def read_json(path: Path, keys: tuple[str, ...]) -> dict:
    """Read an object that has lists under the keys; raises UserError for any other file."""
    with damages(path, path):
        check_regular(path)
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has over {_MOST_BYTES >> 30} GiB")
        content = json.loads(path.read_bytes())
        for key in keys:
            if not isinstance(content, dict) or not isinstance(content.get(key), list):
                raise ValueError(f"it has no list {key!r}")
        return content


def checked_points(points: object, height: int, width: int) -> list[tuple[float, float]]:
    """Return points (x, y) in pixels; raises one of DAMAGES for anything else, and for far ones."""
    points = [(float(x), float(y)) for x, y in points]
    for x, y in points:  # to draw far ones takes time and memory; NaN is not within either
        if not (-width <= x <= 2 * width and -height <= y <= 2 * height):
            raise ValueError(f"the point ({x:g}, {y:g}) is far outside the picture")
    return points


def box_of(points: object) -> Box | None:
    """Return the box around points, None where they have no extent."""
    xs, ys = np.reshape([*points], (-1, 2)).astype(float).T
    box = (min(xs), min(ys), max(xs), max(ys)) if len(xs) else (0, 0, 0, 0)
    return box if box[:2] != box[2:] else None


class Notes:
    """What a format leaves out or draws in another way, by what it is, for the user."""

    def __init__(self):
        self._found: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, what: str, *names: object, label: str = "") -> None:
        """Count things by what they are: their names, and the label that they have."""
        self._found[what] += [(label, str(name)) for name in names]

    def lines(self, total: int = 0, skip_lost: bool = False) -> list[str]:
        """Return a line for each kind; raises UserError where over 1 % of all regions are lost."""
        lines = {what: _line(what, found) for what, found in self._found.items() if found}
        if len(self._found[LOST]) > max(1, total / 100) and not skip_lost:
            raise UserError(
                f"{lines[LOST]}, of {total} regions; their pixels would be background: correct "
                "them, or add --skip_lost to go on without them"
            )
        return [*lines.values()]


def _line(what: str, found: Sequence[tuple[str, str]]) -> str:
    labels = Counter(label for label, _ in found if label).most_common()
    counts = few([f"{label} {count}" for label, count in labels], 10)
    names = few([name for _, name in found])
    return f"{what} ({len(found)}): {f'{counts} ({names})' if counts else names}"


def classes_and_labels(
    settings, names: Iterable[str], used: Collection[str]
) -> tuple[Classes, dict[str, int]]:
    """Return the classes, `--class_names` or background before the names, and each name's label.

    Label 0 is what nothing is drawn over. Raises UserError unless all names that annotations use
    are named, and none of them but background is the first.
    """
    rest = [name for name in names if name != IGNORE and not _is_background(name)]
    named = classes_from(settings.class_names, Classes(), None)
    classes = named if named.names else Classes(("background", *rest))
    if len(classes.names) >= VOID:
        raise UserError(f"there are {len(classes.names)} classes; at most {VOID - 1} are possible")
    labels = {name: 0 for name in used if _is_background(name)} | {IGNORE: VOID}
    labels |= {name: label for label, name in enumerate(classes.names)}
    if unknown := sorted(set(used) - set(labels)):
        raise UserError(f"--class_names does not name {few(unknown)}, which the annotations use")
    if (first := classes.names[0]) in used and not _is_background(first):
        raise UserError(
            f"label 0 is what no annotation covers, and --class_names calls it {first}, which the "
            "annotations use; begin with another name, such as background"
        )
    return classes, labels


def _is_background(name: str) -> bool:
    return name.strip("_ ").lower() in ("background", "bg")


def size_of(image: Path, said: tuple[object, object]) -> tuple[int, int]:
    """Return (height, width) of a picture; raises UserError where its annotations say another."""
    size = image_size(image)
    if any(_pixels(there) not in (None, here) for there, here in zip(said, size, strict=True)):
        raise UserError(
            f"{image} has {size[0]} x {size[1]} pixels (height x width), and annotations for "
            f"{said[0]} x {said[1]}; annotate it anew, or use the picture that was annotated"
        )
    return size


def _pixels(value: object) -> float | None:  # 0 and -1 are written for what is not known
    with suppress(TypeError, ValueError):
        return max(float(value), 0) or None
    return None


class PictureNames:
    """The pictures of a folder and those below, by what annotations call them.

    A path in an annotation may begin above or below that folder and have another ending: `1.jpg`,
    `b/1.png` and `x/data/b/1.jpg` are of `data/b/1.jpg`, `a/1.jpg` is not.
    """

    def __init__(self, items: Iterable[Item]):
        self._by_stem: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            self._by_stem[item.name.stem].append(item)

    def find(self, said: str, is_right: Callable[[Item], bool]) -> Item | None:
        """Return the picture that a path is of, None where there is none.

        is_right: decides between several. Raises UserError where it still could be of several.
        """
        parts = parts_of(said)
        found = self._by_stem.get(PurePosixPath(*parts).stem, [])
        found = [item for item in found if _end_alike(item.name.parent.parts, parts[:-1])]
        for holds in (is_right, lambda item: item.name.parts == parts):
            chosen = [item for item in found if holds(item)]
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
    parts = re.split(r"[\\/]+", normalize("NFC", said))
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _end_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shared = min(len(one), len(other))
    return not shared or one[-shared:] == other[-shared:]
