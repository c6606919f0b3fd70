"""A contact sheet: some pictures of a data set under their masks, with the legend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import DATA_SET, read_image, write_png
from deeplab_lfov.inference.visualize import font_file, overlay, with_legend

PICTURES, COLUMNS = 10, 5
_CELL, _LINE = (320, 240), 20  # pixels of a picture's place, and of its name's


def save_preview(path: Path, pictures: Sequence[tuple[Path, np.ndarray]], classes: Classes) -> None:
    """Write a PNG of pictures, each with its labels uint8 [H, W], and their names below.

    Raises UserError when it cannot be written.
    """
    (width, height), rows = _CELL, -(-len(pictures) // COLUMNS)
    columns = min(COLUMNS, len(pictures))
    sheet = Image.new("RGB", (columns * width, rows * (height + _LINE)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(font_file(), 13)
    found: set[int] = set()
    for number, (image, labels) in enumerate(pictures):
        x, y = number % columns * width, number // columns * (height + _LINE)
        blended = Image.fromarray(overlay(read_image(image), labels, 0.6, classes))
        small = ImageOps.contain(blended, (width - 4, height - 4))
        sheet.paste(small, (x + (width - small.width) // 2, y + (height - small.height) // 2))
        draw.text((x + 4, y + height), image.name[-44:], fill="black", font=font)
        found |= set(np.unique(labels).tolist())
    write_png(path, with_legend(sheet, sorted(found), classes), DATA_SET)
