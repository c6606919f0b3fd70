"""Weights of the classes in the loss, for data sets whose classes are of very different size."""

import math
from pathlib import Path

import numpy as np

from deeplab_lfov.data.list_files import read_lines
from deeplab_lfov.errors import UserError
from deeplab_lfov.voc import VOID

POWERS = {"balanced": 1.0, "sqrt": 0.5}
"""By name, the power of the inverse of a class's pixels that its weight is."""


def balanced(label_counts: np.ndarray, num_classes: int, power: float = 1.0) -> tuple[float, ...]:
    """Weigh classes by a power of the inverse of their pixels, 1 for a class of average size.

    label_counts: int64 [256]. Classes that do not occur get 0.
    """
    counts = label_counts[:num_classes].copy()
    counts[VOID:] = 0
    present = counts > 0
    weights = counts.sum() / (max(present.sum(), 1) * np.maximum(counts, 1)) * present
    return tuple((weights**power).tolist())


def read_class_weights(path: str | Path, num_classes: int) -> tuple[float, ...]:
    """Read a file with a weight in each line, label 0 first; blank lines and # are skipped.

    Raises UserError for another number of lines than num_classes and for what is no weight.
    """
    lines = [line for line in read_lines(Path(path)) if line and not line.startswith("#")]
    try:
        weights = tuple(map(float, lines))
    except ValueError as error:
        raise UserError(f"{path}: {error}; a line is the weight of a class") from error
    if len(weights) != num_classes:
        raise UserError(f"{path} has {len(weights)} weights, not {num_classes}; one in each line")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise UserError(f"{path}: weights are numbers from 0, and not all of them 0")
    return weights
