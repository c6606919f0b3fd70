"""The page of evaluate.py --report: one index.html with the numbers and the telling pictures."""

import base64
import html
import io
import itertools
import string
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import read_image
from deeplab_lfov.data.samples import Sample
from deeplab_lfov.distributed.replicas import Replicas
from deeplab_lfov.errors import UserError
from deeplab_lfov.evaluation.metrics import ConfusionMatrix
from deeplab_lfov.evaluation.trimap import TrimapMatrices
from deeplab_lfov.files import whole_file, writable_folder
from deeplab_lfov.voc import VOID

TEMPLATE = Path(__file__).with_name("report_template.html")
GENERATOR = b'<meta name="generator" content="deeplab_lfov">'
SIDE = 512  # most pixels of an embedded picture
EACH = 3  # pictures in each of best, median and worst


class Seen(NamedTuple):
    """One picture of the list: where it is, how well it went, and its masks, compressed."""

    name: str
    path: Path
    mean_iou: float
    shape: tuple[int, int]
    masks: bytes

    @property
    def truth_and_prediction(self) -> np.ndarray:
        """The labels of the truth and of the prediction, uint8 [2, H, W]."""
        return np.frombuffer(zlib.decompress(self.masks), np.uint8).reshape(2, *self.shape)


class Report:
    """Collects pictures with `add`, and writes them with the numbers to <folder>/index.html.

    classes: their names and colours. Raises UserError where that cannot be written, or is no
    earlier report.
    """

    def __init__(self, folder: str | Path, classes: Classes):
        self.classes = classes
        self.path = writable_folder(folder) / "index.html"
        if self.path.exists() and not _is_report(self.path):
            raise UserError(f"{self.path} exists and is no earlier report; choose another folder")
        self.seen: list[Seen] = []

    def add(self, name: str, path: Path, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Note a picture and its labels uint8 [H, W]; some kilobytes each, whatever its size."""
        size = int(max(prediction.max(), truth[truth != VOID].max(initial=0))) + 1
        matrix = ConfusionMatrix(range(size))
        matrix.update(truth, prediction)
        masks = zlib.compress(np.stack([truth, prediction]).tobytes(), 1)
        self.seen.append(Seen(name, Path(path), matrix.mean_iou, truth.shape, masks))

    def gather(self, samples: Sequence[Sample], replicas: Replicas) -> None:
        """Learn of the pictures that other workers have added; every one has to call it.

        This worker has added those of `samples`, the whole list, that `replicas.share` gives it.
        Only the chosen pictures' masks are exchanged. Raises WorkerGoneError.
        """
        mine = dict(zip(replicas.share(range(len(samples))), self.seen, strict=True))
        ious, sizes = np.zeros(len(samples)), np.zeros((len(samples), 2), np.int64)
        for number, seen in mine.items():
            ious[number], sizes[number] = seen.mean_iou, seen.shape
        ious, sizes = replicas.sum(ious), replicas.sum(sizes)
        self.seen = [
            Seen(sample.name, sample.image, float(iou), tuple(size), b"")
            for sample, iou, size in zip(samples, ious, sizes.tolist(), strict=True)
        ]
        numbers = {id(seen): number for number, seen in enumerate(self.seen)}
        for chosen in itertools.chain(*self.chosen().values()):
            number, labels = numbers[id(chosen)], np.zeros((2, *chosen.shape), np.int64)
            if number in mine:
                labels += mine[number].truth_and_prediction
            masks = zlib.compress(replicas.sum(labels).astype(np.uint8).tobytes(), 1)
            self.seen[number] = chosen._replace(masks=masks)

    def write(
        self,
        matrix: ConfusionMatrix,
        facts: dict[str, str],
        trimap: TrimapMatrices | None = None,
    ) -> Path:
        """Write the page and return its path; facts say where the numbers come from.

        Raises UserError when it cannot be written or a picture has gone.
        """
        template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
        absent = int(np.isnan(matrix.iou).sum())
        page = template.substitute(
            mean_iou=_percent(matrix.mean_iou),
            absent_note=f", {absent} absent classes left out" if absent else "",
            numbers=_numbers(matrix),
            facts="".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items()),
            bars=_bars(matrix, self.classes),
            trimap=_trimap(trimap) if trimap else "",
            heat=_heat(matrix, self.classes),
            pictures="".join(
                _section(title, seen, self.classes) for title, seen in self.chosen().items()
            ),
        )
        with whole_file(self.path) as partial:
            partial.write_text(page, encoding="utf-8")
        return self.path

    def chosen(self) -> dict[str, list[Seen]]:
        """Choose the best, median and worst pictures, none of them twice, none of void alone."""
        ranked = [seen for seen in self.seen if not np.isnan(seen.mean_iou)]
        ranked.sort(key=lambda seen: (-seen.mean_iou, seen.name))
        each = min(EACH, max(1, len(ranked) // 3))
        best, rest = ranked[:each], ranked[each:]
        worst, rest = rest[len(rest) - min(each, len(rest)) :][::-1], rest[: -each or None]
        middle = max(0, (len(rest) - each) // 2)
        return {
            "The best pictures": best,
            "Pictures around the median": rest[middle : middle + each],
            "The worst pictures": worst,
        }


def _is_report(path: Path) -> bool:
    return path.is_file() and GENERATOR in path.read_bytes()[:1000]


def _text(value: object) -> str:
    return html.escape(str(value))


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.1f} %"


def _chip(label: int, classes: Classes) -> str:
    red, green, blue = classes.table[label]
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'


def _numbers(matrix: ConfusionMatrix) -> str:
    numbers = {
        "pixel accuracy": matrix.pixel_accuracy,
        "mean accuracy": matrix.mean_accuracy,
        "frequency weighted IoU": matrix.frequency_weighted_iou,
    }
    return "".join(
        f"<div><dt>{name}</dt><dd>{_percent(number)}</dd></div>" for name, number in numbers.items()
    )


def _bars(matrix: ConfusionMatrix, classes: Classes) -> str:
    rows = []
    for label, (name, iou) in enumerate(zip(classes.names, matrix.iou, strict=True)):
        head = f'<tr><th scope="row">{_chip(label, classes)}{_text(name)}</th>'
        if np.isnan(iou):
            rows.append(f'{head}<td colspan="2" class="absent">absent</td></tr>')
            continue
        bar = f'<div class="track"><span style="width:{100 * iou:.2f}%"></span></div>'
        rows.append(f"{head}<td>{bar}</td><td>{_percent(iou)}</td></tr>")
    return "".join(rows)


def _heat(matrix: ConfusionMatrix, classes: Classes) -> str:
    occurs = np.flatnonzero(matrix.counts.sum(axis=0) + matrix.counts.sum(axis=1))
    names = [_text(classes.names[label]) for label in occurs]
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = [f"<tr><td></td>{head}</tr>"]
    for truth, name in zip(occurs, names, strict=True):
        total = matrix.counts[truth].sum()
        cells = [
            _cell(int(matrix.counts[truth, label]), int(total), name, other)
            for label, other in zip(occurs, names, strict=True)
        ]
        rows.append(f'<tr><th scope="row">{_chip(truth, classes)}{name}</th>{"".join(cells)}</tr>')
    return "".join(rows)


def _cell(count: int, total: int, truth: str, prediction: str) -> str:
    """Write a cell of the heat map; its names are escaped already."""
    share = count / total if total else 0
    shown = f"{100 * share:.0f}" if share >= 0.005 else ""
    title = f"{truth} labelled {prediction}: {100 * share:.2f} %, {count:,} pixels"
    return f'<td style="--share:{share:.3f}" title="{title}">{shown}</td>'


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


def _section(title: str, seen: list[Seen], classes: Classes) -> str:
    figures = "".join(_figure(picture, classes) for picture in seen)
    return f"<h2>{title}</h2>{figures}" if figures else ""


def _figure(seen: Seen, classes: Classes) -> str:
    image, (truth, prediction) = read_image(seen.path), seen.truth_and_prediction
    views = {
        "picture": image,
        "truth": truth,
        "prediction": prediction,
        "errors, red": _errors(image, truth, prediction),
    }
    name = _text(seen.name)
    strip = "".join(
        f'<div><img src="{_data_uri(pixels, classes)}" alt="{title} of {name}">{title}</div>'
        for title, pixels in views.items()
    )
    found = [label for label in np.unique([truth, prediction]) if label != VOID]
    names = "".join(
        f"<span>{_chip(label, classes)}{_text(classes.names[label])}</span>" for label in found
    )
    head = f"<header><b>{name}</b>mean IoU {_percent(seen.mean_iou)}</header>"
    return (
        f'<figure>{head}<div class="strip">{strip}</div><figcaption>{names}</figcaption></figure>'
    )


def _errors(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw the picture in pale grey, wrong pixels red, void striped: uint8 RGB [H, W, 3]."""
    grey = 150 + 0.35 * image.mean(axis=-1, keepdims=True)
    pixels = np.repeat(grey, 3, axis=-1).astype(np.uint8)
    pixels[truth != prediction] = (214, 58, 40)
    rows, columns = np.indices(truth.shape)
    stripes = np.where((rows + columns) // 3 % 2, 235, 205)[..., np.newaxis]
    return np.where((truth == VOID)[..., np.newaxis], stripes, pixels).astype(np.uint8)


def _data_uri(pixels: np.ndarray, classes: Classes) -> str:
    """Embed RGB as JPEG and labels as PNG, which keeps borders sharp; both shrunk if large."""
    picture, file = Image.fromarray(pixels), io.BytesIO()
    if pixels.ndim == 2:
        picture.putpalette(classes.table.tobytes())
        picture.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
        picture.save(file, "PNG")
    else:
        picture.thumbnail((SIDE, SIDE))
        picture.save(file, "JPEG", quality=88)
    kind = "png" if pixels.ndim == 2 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
