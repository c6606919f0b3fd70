"""Labels to look at: colours, overlays, legends, and figures of picture | mask | prediction."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import read_image, read_mask, write_png
from deeplab_lfov.errors import printable, shortened
from deeplab_lfov.voc import PALETTE, VOID


def decode_labels(labels: np.ndarray, colors: np.ndarray = PALETTE) -> np.ndarray:
    """Colour labels: uint8 [..., H, W] or [..., H, W, 1] -> uint8 RGB [..., H, W, 3].

    colors: uint8 RGB [256, 3], of every label; VOC's if not given.
    """
    labels = np.asarray(labels)
    return colors[labels[..., 0] if labels.ndim > 2 and labels.shape[-1] == 1 else labels]


def overlay(image: np.ndarray, labels: np.ndarray, share: float, classes: Classes) -> np.ndarray:
    """Lay colours over a picture, uint8 RGB [H, W, 3], but over its background.

    labels: uint8 [H, W]; share: of the colours, 0 shows the picture and 1 the mask.
    """
    colored = Image.fromarray(decode_labels(labels, classes.table))
    blended = np.array(Image.blend(Image.fromarray(image), colored, share))
    if classes.has_background:
        blended[labels == 0] = image[labels == 0]
    return blended


def save_rows(
    path: str | Path,
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    classes: Classes,
    names: Sequence[str],
) -> None:
    """Write a PNG with a row picture | mask | prediction (if any) per sample, and a legend.

    images: uint8 RGB [H, W, 3] each; labels and predictions: uint8 [H, W]; names: what stands below
    the pictures. The legend names the classes that occur. Raises UserError when the file cannot be
    written.
    """
    shown = np.unique(np.concatenate([each.ravel() for each in (*labels, *predictions)]))
    shown = [label for label in shown if label != VOID]
    shapes = [image.shape for image in images]
    heights = [3 * height / width for height, width, _ in shapes]
    figure = Figure(figsize=(9, sum(heights) + 1.1 + 0.25 * (len(shown) // 6)), dpi=100)
    columns = [images, labels, predictions] if len(predictions) else [images, labels]
    axes = figure.subplots(len(images), len(columns), squeeze=False, height_ratios=heights)
    for row, name, *pixels in zip(axes, names, *columns, strict=True):
        for axis, picture in zip(row, pixels, strict=True):
            axis.imshow(picture if picture.ndim == 3 else decode_labels(picture, classes.table))
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
        row[0].set_xlabel(shortened(printable(name), 48), parse_math=False, fontsize=8)
    for axis, title in zip(axes[0], ("picture", "mask", "prediction"), strict=False):
        axis.set_title(title)
    patches = [
        Patch(facecolor=classes.table[label] / 255, edgecolor="grey", label=_name(label, classes))
        for label in [*shown, VOID]
    ]
    legend = figure.legend(handles=patches, loc="outside lower center", ncols=6, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a class may have a $ in its name
    write_figure(path, figure)


def contact_sheet(pairs: Sequence[tuple[Path, Path]], classes: Classes) -> Image.Image:
    """Draw pictures under their masks side by side, with their names and the legend.

    pairs: the files of each picture and its mask.
    """
    (width, height), line, columns = (320, 240), 20, min(5, len(pairs))
    size = columns * width, -(-len(pairs) // columns) * (height + line)
    sheet, found = Image.new("RGB", size, "white"), set()
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(font_file(), 13)
    for number, (image, mask) in enumerate(pairs):
        x, y = number % columns * width, number // columns * (height + line)
        labels = read_mask(mask, len(classes.names))
        blended = Image.fromarray(overlay(read_image(image), labels, 0.6, classes))
        small = ImageOps.pad(blended, (width - 4, height - 4), color="white")
        sheet.paste(small, (x + 2, y + 2))
        draw.text((x + 4, y + height), image.name[-44:], fill="black", font=font)
        found.update(np.unique(labels).tolist())
    return with_legend(sheet, sorted(found), classes)


def with_legend(picture: Image.Image, labels: Sequence[int], classes: Classes) -> Image.Image:
    """Put the picture above rows of coloured squares with the labels' names, on white."""
    size = max(14, round(14 / 500 * math.sqrt(picture.width * picture.height)))  # pixels of type
    font, gap = ImageFont.truetype(font_file(), size), round(0.4 * size)
    names = [_name(label, classes) for label in labels]
    entries = [(*each, font.getlength(each[1])) for each in zip(labels, names, strict=True)]
    width = max(picture.width, *(int(length) + size + 3 * gap for *_, length in entries))
    places, x, y = [], gap, picture.height + gap
    for _, _, length in entries:
        if x > gap and x + size + gap + length > width - gap:
            x, y = gap, y + size + gap
        places.append((x, y))
        x += size + 3 * gap + int(length)
    canvas = Image.new("RGB", (width, y + size + 2 * gap), "white")
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for (label, name, _), (x, y) in zip(entries, places, strict=True):
        color = tuple(map(int, classes.table[label]))
        draw.rectangle((x, y, x + size, y + size), fill=color, outline="grey")
        draw.text((x + size + gap, y), name, fill="black", font=font)
    return canvas


def _name(label: int, classes: Classes) -> str:
    return "void" if label == VOID else printable(classes.names[label])


def font_file() -> str:
    """Find DejaVu Sans, which comes with matplotlib and has the letters of most alphabets."""
    return str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))


def write_figure(path: str | Path, figure: Figure) -> None:
    """Write a PNG; raises UserError when it cannot be written."""
    figure.set_layout_engine("constrained")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    write_png(path, Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
