"""Files about the classes: their names and colours, and their weights in the loss."""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.classes import VOC, Classes, Color
from deeplab_lfov.data.list_files import IMAGE_FOLDER, MASK_FOLDERS, is_file, read_lines
from deeplab_lfov.errors import UserError, few
from deeplab_lfov.voc import VOID

CLASSES = "classes.txt"
"""In a data set's folder the names and colours of its classes, as `read_class_file` reads them."""

POWERS = {"balanced": 1.0, "sqrt": 0.5}
"""By name, the power of the inverse of a class's pixels that its weight is."""

_FOUND = ["labelmap.txt", "label_colors.txt", "_classes.csv", "class_mapping.csv", "class_dict.csv"]
_FOUND += ["class_names.txt", "classification.txt", CLASSES]
"""What CVAT, CamVid, Roboflow, V7, Kaggle, labelme, ISAT and this program call them."""

_VALUE, _NAME, _GAP = r"(?P<value>\d{1,5})", r"(?P<name>.+)", r"[\s,:;]+"
_COLOR = r"(?P<color>\d{1,3}[\s,;]+\d{1,3}[\s,;]+\d{1,3})"
_FORMS = [
    _VALUE + _GAP + _NAME + _GAP + _COLOR,
    _COLOR + _GAP + r"(?!\d+[\s,:;])" + _NAME,
    _NAME + _GAP + _COLOR,
    _VALUE + _GAP + _NAME,
    _NAME + r"\s*[,:;\t]\s*" + _VALUE,  # a space is not enough: `traffic light 2` is a name
    _NAME,
]
_BLACK_FIRST = _FORMS[1]  # CamVid's, of which datumaro numbers black as 0
_NO_NAME = re.compile(
    r"-?[\d.]+(\s*[,:;]|\s+\d).*|.*([,:;]\s*|\d\s+)-?[\d.]+|[\W\d_]*|.*\t.*|.*\d\W+\d+\W+\d.*|.*\.(jpe?g|png|tiff?)"
)
_CVAT = re.compile(r"([^:]+:[\d, ]*):[^:]*:[^:]*")  # name:color:parts:actions
_HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
_LIKE = "`road 128 64 128`, `128 64 128 road`, `1: road`, `1, road, 128, 64, 128` or `road`"
_OTHERS = {r"[\[{]": "JSON", "<": "XML", r"- |---|[\w ]+:$": "YAML"}
_HEAD = re.compile("pixel|value|id|idx|index|class|name|label|color|rgb|r|g|b|red|green|blue")
_LONGEST = 300  # characters of a line
_VOID_AT_255 = ("ignore", "unlabel", "unknown", "undefined", "border", "boundary")


class ClassFile(NamedTuple):
    """What a file says of classes, and the label of each of its values (none: labels by order)."""

    classes: Classes
    labels: dict[int, int]


class _Row(NamedTuple):
    name: str
    value: int | None
    color: Color | None

    @property
    def is_void(self) -> bool:
        name, is_last = self.name.casefold(), self.value == VOID
        return name in ("void", "__ignore__") or (is_last and name.startswith(_VOID_AT_255))


def classes_in(data_dir: str | Path, palette: str | Path | None = None) -> Classes:
    """Read the palette that is named, else the folder's classes; in VOC's layout VOC's is known.

    Anywhere else no colour stands for a label. Raises UserError for files of another form.
    """
    folder = Path(data_dir)
    own = folder / CLASSES if is_file(folder / CLASSES) else class_file_in(folder)
    if palette or own:
        return read_palette(palette or own)
    has_masks = any((folder / masks).is_dir() for masks in MASK_FOLDERS)
    return VOC if has_masks and (folder / IMAGE_FOLDER).is_dir() else Classes()


def class_file_in(folder: Path) -> Path | None:
    """Find the file about the classes that a tool has put into a folder.

    Names alone count where the first is background: other lists of names begin with label 1.
    """
    for path in (folder / name for name in _FOUND):
        if is_file(path):
            classes, labels = read_class_file(path)
            if classes.colors or labels or classes.has_background:
                return path
    return None


def read_palette(path: str | Path) -> Classes:
    """Read the classes as `read_class_file` does; `voc` means VOC's colours.

    Raises UserError for a file whose values are no labels, too.
    """
    if path == "voc":
        return VOC
    classes, labels = read_class_file(path)
    if changed := [value for value, label in labels.items() if value != label]:
        raise UserError(
            f"{path} names values such as {few(changed, 5)}, which are no labels from 0 on: "
            f"util/prepare_data.py --class_names {path} makes labels of them"
        )
    return classes


def read_class_file(path: str | Path) -> ClassFile:
    """Read a file with a class in each line: a name, and its value or its colour or both.

    Numbers stand before the name or behind it, in all lines alike. Classes are in the order of the
    values, else of the lines, where tools have black ahead. The name void stands for void; blank
    lines, a head of columns and lines that start with # are skipped. Raises UserError for lines of
    another form and for a value, colour or name given twice.
    """
    numbered = enumerate(_lines(path), 1)
    lines = {number: line for number, line in numbered if line and not line.startswith("#")}
    form, rows = _rows(path, lines)
    if form == _BLACK_FIRST or all(map(_CVAT.fullmatch, lines.values())):
        rows = sorted(rows, key=lambda row: (row.color != (0, 0, 0), row.name != "background"))
    if with_values := any(row.value is not None for row in rows):
        rows = sorted(rows, key=lambda row: row.value)
    named = [row for row in rows if not row.is_void]
    void_colors = [row.color for row in rows if row.color and row.is_void]
    colors = [row.color for row in named if row.color]
    for what, each in (
        ("names the class", [row.name for row in named]),
        ("has the value", [row.value for row in rows if with_values]),
        ("has the colour", colors + void_colors),
    ):
        if twice := [one for one in each if each.count(one) > 1]:
            raise UserError(f"{path} {what} {twice[0]!r} twice")
    if not 0 < len(named) <= VOID + (not colors):
        raise UserError(f"{path} names {len(named)} classes; it should name 1 to {VOID}")
    labels = {row.value: label for label, row in enumerate(named)}
    labels |= {row.value: VOID for row in rows if row.is_void}
    classes = Classes(tuple(row.name for row in named), tuple(colors), tuple(void_colors))
    if not colors and classes.has_background and Path(path).name in _FOUND[:2]:
        classes = classes._replace(colors=VOC.colors[: len(named)])  # datumaro paints with them
    return ClassFile(classes, labels if with_values else {})


def _rows(path: str | Path, lines: dict[int, str]) -> tuple[str, list[_Row]]:
    """Return the form that all lines have, and what they say; raises UserError if there is none."""
    first = next(iter(lines.values()), "")
    in_columns = "," in first or Path(path).suffix == ".csv"
    if in_columns and all(map(_HEAD.fullmatch, re.findall(r"[^\W_]+", first.lower()))):
        lines = dict([*lines.items()][1:])
    found = {form: [_row(form, line) for line in lines.values()] for form in _FORMS}
    form = min(found, key=lambda each: found[each].count(None))
    others = [what for pattern, what in _OTHERS.items() if re.match(pattern, first)]
    for (number, line), row in zip(lines.items(), found[form], strict=True):
        if others or row is None or (len(lines) == 1 and "," in row.name):
            raise UserError(
                f"{f'{path} looks like {others[0]}: ' if others else ''}line {number} of {path} is "
                f"not of the form of a class, such as {_LIKE}, or not that of most lines: "
                f"{line[:_LONGEST]!r}"
            )
    return form, found[form]


def _row(form: str, line: str) -> _Row | None:
    """Read a line of a form; None if it is of another."""
    line = _HEX.sub(lambda hex: ",".join(map(str, bytes.fromhex(hex[1]))), line.replace('"', ""))
    line = _CVAT.sub(r"\1", line)
    found = re.fullmatch(form, line) if len(line) <= _LONGEST else None
    said = found.groupdict() if found else {"name": ""}
    name, value = said["name"].strip(" \t,:;"), said.get("value")
    color = tuple(map(int, re.findall(r"\d+", said["color"]))) if "color" in said else None
    if _NO_NAME.fullmatch(name) or max(color or (0,)) > 255:
        return None
    return _Row(name, int(value) if value else None, color)


def read_classes(
    path: str | Path, num_classes: int | None = None, others: Classes | None = None
) -> Classes:
    """Read the classes as `read_palette` does; names alone take the colours of `others`.

    Raises UserError as that does, and for another number than num_classes.
    """
    classes = read_palette(path)
    if others and not classes.colors and len(others.colors) == len(classes.names):
        classes = others._replace(names=classes.names)
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
            f"and the network has {num_classes}"
        )
    return known


def _lines(path: str | Path) -> list[str]:
    """Read a file's lines; what has commas and is no file stands for lines itself, as `cat,dog`."""
    typed = "," in str(path) and "/" not in str(path) and not Path(path).exists()
    return [part.strip() for part in str(path).split(",")] if typed else read_lines(Path(path))


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
    lines = [line for line in _lines(path) if line and not line.startswith("#")]
    try:
        weights = tuple(map(float, lines))
    except ValueError as error:
        raise UserError(f"{path}: {error}; a line is the weight of a class") from error
    if len(weights) != num_classes:
        raise UserError(f"{path} has {len(weights)} weights, not {num_classes}; one in each line")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise UserError(f"{path}: weights are numbers from 0, and not all of them 0")
    return weights
