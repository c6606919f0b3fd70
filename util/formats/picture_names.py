"""Which picture an annotation is of, by the path that it gives."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from deeplab_lfov.errors import UserError, few
from util.formats import Item


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
    return tuple(part for part in re.split(r"[\\/]+", said) if part not in ("", ".", ".."))


def _stem(parts: tuple[str, ...]) -> str:
    return PurePosixPath(parts[-1]).stem if parts else ""


def _agree(item: Item, parts: tuple[str, ...]) -> bool:
    both = item.name.parent.parts, parts[:-1]
    shared = min(map(len, both))
    return not shared or both[0][-shared:] == both[1][-shared:]
