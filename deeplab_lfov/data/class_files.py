"""Files about the classes: their names and colours, and their weights in the loss."""

import math
import re
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import VOC, Classes, Color
from deeplab_lfov.data.list_files import IMAGE_FOLDER, MASK_FOLDERS, read_lines
from deeplab_lfov.errors import UserError
from deeplab_lfov.voc import VOID

CLASSES = "classes.txt"
"""In a data set's folder the names and colours of its classes, as `read_palette` reads them."""

POWERS = {"balanced": 1.0, "sqrt": 0.5}
"""By name, the power of the inverse of a class's pixels that its weight is."""

_LINE = re.compile(r"(.+?)[\s,:]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})")
_NUMBERS = re.compile(r"\d[\s,]+\d+$")


def classes_in(data_dir: str | Path, palette: str | Path | None = None) -> Classes:
    """Read the palette that is named, else the folder's classes; in VOC's layout VOC's is known.

    Anywhere else no colour stands for a label. Raises UserError for files of another form.
    """
    folder = Path(data_dir)
    if palette or (folder / CLASSES).is_file():
        return read_palette(palette or folder / CLASSES)
    has_masks = any((folder / masks).is_dir() for masks in MASK_FOLDERS)
    return VOC if has_masks and (folder / IMAGE_FOLDER).is_dir() else Classes()


def read_palette(path: str | Path) -> Classes:
    """Read a file with a name and a colour in each line, `road 128 64 128`, label 0 first.

    `voc` means VOC's colours. Where no line has a colour they are names alone. The name void stands
    for void and takes no label; blank lines and lines that start with # are skipped.
    Raises UserError for lines of another form and for a colour or name given twice.
    """
    if path == "voc":
        return VOC
    numbered = enumerate(read_lines(Path(path)), 1)
    lines = {number: line for number, line in numbered if line and not line.startswith("#")}
    if any(map(_NUMBERS.search, lines.values())):
        rows = [_parsed(line, f"line {number} of {path}") for number, line in lines.items()]
    else:
        rows = [(line, None) for line in lines.values()]
    names = _checked([name for name, _ in rows if name != "void"], path, most=VOID - 1)
    colors = [color for name, color in rows if color and name != "void"]
    void_colors = [color for name, color in rows if color and name == "void"]
    if len({*colors, *void_colors}) < len(colors + void_colors):
        raise UserError(f"{path} gives a colour twice")
    return Classes(names, tuple(colors), tuple(void_colors))


def read_classes(
    path: str | Path, num_classes: int | None = None, others: Classes | None = None
) -> Classes:
    """Read a file with a name, or a name and a colour, in each line; blank ones are skipped.

    Names alone take the colours of `others`. Raises UserError as `read_palette`, and for another
    number than num_classes.
    """
    lines = read_lines(Path(path))
    if any(_LINE.fullmatch(line) for line in lines):
        classes = read_palette(path)
    else:
        names = _checked([line for line in lines if line], path, most=256)
        keeps_colors = others and len(others.colors) == len(names)
        classes = others._replace(names=names) if keeps_colors else Classes(names)
    if num_classes not in (None, len(classes.names)):
        raise UserError(
            f"{path} names {len(classes.names)} classes, not {num_classes}; one name in each line"
        )
    return classes


def classes_from(
    class_names: str | Path | None, known: Classes, num_classes: int | None
) -> Classes:
    """Return the classes of the file class_names, else those that the data set is known to have.

    Raises UserError where their number is not num_classes, if that is given.
    """
    if class_names is not None:
        return read_classes(class_names, num_classes, known)
    if known.names and num_classes not in (None, len(known.names)):
        raise UserError(
            f"the palette or classes.txt of the data set names {len(known.names)} classes, "
            f"and the network, or --num_classes, has {num_classes}"
        )
    return known


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


def _checked(names: list[str], path: str | Path, most: int) -> tuple[str, ...]:
    if not 0 < len(names) <= most:
        raise UserError(f"{path} names {len(names)} classes; it should name 1 to {most}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} names the class {repeated[0]!r} twice")
    return tuple(names)


def _parsed(line: str, where: str) -> tuple[str, Color]:
    match = _LINE.fullmatch(line)
    color = tuple(map(int, match.groups()[1:])) if match else (256,)
    if max(color) > 255:
        raise UserError(f"{where} is not a name and a colour such as `road 128 64 128`: {line!r}")
    return match.group(1), color
