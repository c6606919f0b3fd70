"""The HTML of a report: a template filled with tables, and the data that its script shows."""

import html
import json
import string
from pathlib import Path

import numpy as np

from deeplab_lfov.classes import Classes
from deeplab_lfov.evaluation.boundaries import BoundaryF1, TrimapMatrices
from deeplab_lfov.evaluation.metrics import ConfusionMatrix, ratio
from deeplab_lfov.voc import VOID

TEMPLATE = Path(__file__).with_name("template.html")
SCRIPT = Path(__file__).with_name("page.js")


def page(
    matrix: ConfusionMatrix,
    classes: Classes,
    pictures: dict[str, object],
    facts: dict[str, str],
    trimap: TrimapMatrices | None = None,
    bf: BoundaryF1 | None = None,
) -> str:
    """Return the whole page; pictures is what its script knows of them, facts are shown as text."""
    absent, labels = int(np.isnan(matrix.iou).sum()), [*range(len(classes.names)), VOID]
    colors = classes.table.tolist()
    named = [{"name": name, "color": colors[label]} for label, name in enumerate(classes.names)]
    data = pictures | {"classes": named, "counts": matrix.counts.tolist()}
    data = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        mean_iou=_percent(matrix.mean_iou),
        absent_note=f", {absent} absent classes left out" if absent else "",
        numbers=_numbers(matrix, bf),
        facts="".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items()),
        classes=_class_table(matrix, classes, bf),
        trimap=_trimap(trimap) if trimap else "",
        heat=_heat(matrix, classes),
        legend="".join(f"<span>{_chip(label, classes)}</span>" for label in labels),
        data=data,  # in which no name can end the script's element
        script=SCRIPT.read_text(encoding="utf-8"),
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.1f} %"


def _chip(label: int, classes: Classes) -> str:
    """Write a class's name with a square of its colour in front."""
    red, green, blue = classes.table[label]
    name = _text("void" if label == VOID else classes.names[label])
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>{name}'


def _numbers(matrix: ConfusionMatrix, bf: BoundaryF1 | None) -> str:
    (_, *numbers), of_boundaries = matrix.numbers().items(), [("BF", bf.means[-1])] if bf else []
    return "".join(
        f"<div><dt>{name}</dt><dd>{_percent(number)}</dd></div>"
        for name, number in (*numbers, *of_boundaries)
    )


def _class_table(matrix: ConfusionMatrix, classes: Classes, bf: BoundaryF1 | None) -> str:
    hits, truths, predictions = matrix.sums()
    columns = {
        "IoU": matrix.iou,
        "precision": ratio(hits, predictions),
        "recall": ratio(hits, truths),
        "share": ratio(truths, truths.sum()),
        **({"BF": bf.means[:-1]} if bf else {}),
    }
    button = '<th scope="col"><button type="button">{}</button></th>'
    first, *heads = map(button.format, ("class", *columns))
    rows = []
    for label, iou in enumerate(matrix.iou):
        head = f'<th scope="row" data-value="{-label}">{_chip(label, classes)}</th>'
        width = 100 * np.nan_to_num(iou)
        bar = f'<td><div class="track"><span style="width:{width:.2f}%"></span></div></td>'
        cells = "".join(_value(column[label]) for column in columns.values())
        rows.append(f"<tr>{head}{bar}{cells}</tr>")
    return f"<thead><tr>{first}<td></td>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _value(share: float) -> str:
    if np.isnan(share):  # sorted after all others
        return '<td data-value="-1" class="absent">absent</td>'
    return f'<td data-value="{share:.6f}">{_percent(share)}</td>'


def _heat(matrix: ConfusionMatrix, classes: Classes) -> str:
    """Write the confusion of the classes that occur, as shares of the truth."""
    occurs = np.flatnonzero(matrix.counts.sum(axis=0) + matrix.counts.sum(axis=1))
    names = (_text(classes.names[label]) for label in occurs)
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = [f"<tr><td></td>{head}</tr>"]
    for truth in occurs:
        cells = ""
        for label in occurs:
            share = matrix.counts[truth, label] / max(int(matrix.counts[truth].sum()), 1)
            shown = f"{100 * share:.0f}" if share >= 0.005 else ""
            place = f'data-truth="{truth}" data-label="{label}" style="--share:{share:.3f}"'
            cells += f"<td {place}>{shown}</td>"
        rows.append(f'<tr><th scope="row">{_chip(truth, classes)}</th>{cells}</tr>')
    return "".join(rows)


def _trimap(trimap: TrimapMatrices) -> str:
    rows = "".join(
        f'<tr><th scope="row">{width}</th><td>{_percent(matrix.mean_iou)}</td>'
        f"<td>{_percent(trimap.shares[width])}</td></tr>"
        for width, matrix in trimap.matrices.items()
    )
    return (
        "<h2>Near boundaries</h2><p>Mean IoU of the pixels within so many pixels of a boundary in "
        'the truth.</p><table class="plain"><tr><th scope="col">pixels</th><th scope="col">mean '
        f'IoU</th><th scope="col">share of pixels</th></tr>{rows}</table>'
    )
