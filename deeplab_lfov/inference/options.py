"""The options of a predictor, checked before anything is loaded."""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from deeplab_lfov import limits
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.segmentation import Refine
from deeplab_lfov.network.layers import STRIDE


def checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Return the scales of the views; raises UserError for what is none, and beyond `limits`."""
    if isinstance(scales, Real):
        raise UserError(f"scales must be several, such as ({scales},), got {scales}")
    try:
        numbers = tuple(scales)
    except TypeError:
        numbers = ()
    least, most = limits.SCALE
    if not numbers or not all(_is(Real, n) and least <= n <= most for n in numbers):
        raise UserError(f"scales must be numbers from {least} to {most}, got {scales!r}")
    return numbers


def check_options(
    *,
    flip: bool,
    input_size: tuple[int, int] | None,
    max_side: int | None,
    tile: int | None,
    crf: Refine | None,
    precision: str,
) -> None:
    """Raise UserError for options of another type, beyond `limits`, or that exclude each other."""
    if not isinstance(flip, bool | np.bool_):
        raise UserError(f"flip must be True or False, got {flip!r}")
    if max_side is not None and not (_is(Integral, max_side) and max_side >= 1):
        raise UserError(f"max_side must be a whole number from 1 on, got {max_side!r}")
    if precision not in limits.PRECISIONS:
        raise UserError(f"precision must be one of {limits.PRECISIONS}, got {precision!r}")
    if crf is not None and (not callable(crf) or isinstance(crf, type)):
        raise UserError(f"crf must be a callable such as DenseCRF(), got {crf!r}")
    _check_tile(tile)
    _check_input_size(input_size)
    if tile and input_size:
        raise UserError("--tile and --input_size exclude each other: a tiled picture needs no pad")
    if tile and crf:
        raise UserError(
            "--tile and --crf exclude each other: a CRF takes the whole picture; use --max_side"
        )


def check_min_confidence(share: float | None) -> None:
    """Raise UserError for a least probability that is none."""
    if share is not None and not (_is(Real, share) and 0 <= share <= 1):
        raise UserError(f"min_confidence must be a number from 0 to 1, got {share!r}")


def _check_tile(tile: int | None) -> None:
    least, most = limits.TILE
    if tile is not None and not (_is(Integral, tile) and least <= tile <= most):
        raise UserError(f"tile must be a whole number from {least} to {most}, got {tile!r}")
    if tile is not None and tile % STRIDE:
        raise UserError(f"tile must be a multiple of {STRIDE}, got {tile}")


def _check_input_size(size: tuple[int, int] | None) -> None:
    if size is None:
        return
    sides = tuple(size) if isinstance(size, Sequence) else ()
    if len(sides) != 2 or not all(_is(Integral, side) and side >= 1 for side in sides):
        raise UserError(
            f"input_size must be (height, width) in pixels, such as (513, 513), got {size!r}"
        )


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
