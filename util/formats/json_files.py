"""JSON annotations: reading them, and drawing polygons within bounds."""

import json
import math
from pathlib import Path

from deeplab_lfov.data.decoding import check_regular
from deeplab_lfov.errors import UserError

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
