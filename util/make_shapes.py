#!/usr/bin/env python3
"""Draw a small data set in VOC layout: figures of six VOC classes on textured backgrounds."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deeplab_lfov.cli.command import Parser, run
from deeplab_lfov.data.image_files import DATA_SET, write_mask
from deeplab_lfov.errors import UserError
from deeplab_lfov.files import writable_folder
from deeplab_lfov.settings import COUNT, WHOLE
from deeplab_lfov.voc import CLASS_NAMES, VOID

# A figure is a list of (shape, corners in a unit square with y down, role of its colour);
# ellipses and rectangles are given by two opposite corners.
FIGURES = {
    "aeroplane": [
        ("polygon", [(0.0, 0.45), (0.8, 0.4), (1.0, 0.5), (0.8, 0.6), (0.0, 0.55)], "body"),
        ("polygon", [(0.35, 0.5), (0.3, 0.0), (0.45, 0.0), (0.65, 0.5)], "trim"),
        ("polygon", [(0.35, 0.5), (0.3, 1.0), (0.45, 1.0), (0.65, 0.5)], "trim"),
        ("polygon", [(0.0, 0.5), (0.0, 0.2), (0.1, 0.2), (0.2, 0.5)], "trim"),
    ],
    "boat": [
        ("polygon", [(0.0, 0.7), (1.0, 0.7), (0.8, 1.0), (0.2, 1.0)], "body"),
        ("rectangle", [(0.47, 0.0), (0.53, 0.72)], "dark"),
        ("polygon", [(0.55, 0.02), (0.55, 0.62), (0.98, 0.62)], "trim"),
        ("polygon", [(0.45, 0.1), (0.45, 0.62), (0.1, 0.62)], "trim"),
    ],
    "bottle": [
        ("rectangle", [(0.32, 0.35), (0.68, 1.0)], "body"),
        ("polygon", [(0.32, 0.37), (0.42, 0.2), (0.58, 0.2), (0.68, 0.37)], "body"),
        ("rectangle", [(0.42, 0.05), (0.58, 0.22)], "body"),
        ("rectangle", [(0.41, 0.0), (0.59, 0.06)], "dark"),
        ("rectangle", [(0.32, 0.55), (0.68, 0.8)], "trim"),
    ],
    "car": [
        ("polygon", [(0.2, 0.5), (0.32, 0.25), (0.68, 0.25), (0.85, 0.5)], "body"),
        ("rectangle", [(0.0, 0.48), (1.0, 0.75)], "body"),
        ("polygon", [(0.28, 0.48), (0.36, 0.3), (0.64, 0.3), (0.75, 0.48)], "trim"),
        ("ellipse", [(0.12, 0.62), (0.36, 0.86)], "dark"),
        ("ellipse", [(0.64, 0.62), (0.88, 0.86)], "dark"),
    ],
    "person": [
        ("ellipse", [(0.38, 0.0), (0.62, 0.24)], "trim"),
        ("rectangle", [(0.36, 0.24), (0.64, 0.62)], "body"),
        ("polygon", [(0.36, 0.26), (0.2, 0.55), (0.27, 0.58), (0.4, 0.36)], "body"),
        ("polygon", [(0.64, 0.26), (0.8, 0.55), (0.73, 0.58), (0.6, 0.36)], "body"),
        ("polygon", [(0.36, 0.6), (0.33, 1.0), (0.46, 1.0), (0.5, 0.62)], "dark"),
        ("polygon", [(0.64, 0.6), (0.67, 1.0), (0.54, 1.0), (0.5, 0.62)], "dark"),
    ],
    "tvmonitor": [
        ("rectangle", [(0.05, 0.1), (0.95, 0.75)], "body"),
        ("rectangle", [(0.12, 0.17), (0.88, 0.68)], "trim"),
        ("rectangle", [(0.44, 0.74), (0.56, 0.88)], "body"),
        ("rectangle", [(0.28, 0.86), (0.72, 0.94)], "body"),
    ],
}
COLORS = {
    "aeroplane": {"body": (225, 228, 235), "trim": (170, 180, 200)},
    "boat": {"body": (150, 75, 40), "trim": (245, 240, 225)},
    "bottle": {"body": (30, 120, 60), "trim": (230, 210, 150)},
    "car": {"body": (190, 40, 45), "trim": (150, 195, 225)},
    "person": {"body": (60, 80, 190), "trim": (225, 170, 135)},
    "tvmonitor": {"body": (45, 45, 50), "trim": (90, 150, 215)},
}
DARK = (35, 30, 35)
GROUNDS = ((120, 150, 90), (165, 190, 215), (190, 175, 150), (130, 130, 135), (150, 120, 100))
SIZES = (112, 193)  # pixels, the half-open range of heights and widths
DEFAULTS = {"num_train": 300, "num_val": 50, "seed": 0}
FIGURE_SHARE = (0.4, 0.75)  # of the picture's shorter side


def draw(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Draw one to three figures: a picture (RGB) and its labels uint8 [H, W], outlines void."""
    height, width = rng.integers(*SIZES, 2)
    picture = Image.fromarray(_texture(rng, height, width))
    instances = Image.new("L", picture.size)
    names = rng.choice(sorted(FIGURES), rng.integers(1, 4))
    for number, name in enumerate(names, 1):
        _draw_figure(rng, name, picture, instances, number)
    instances = np.asarray(instances)
    labels = np.array([0, *(CLASS_NAMES.index(name) for name in names)], np.uint8)[instances]
    outline = ndimage.maximum_filter(instances, 3) != ndimage.minimum_filter(instances, 3)
    labels[outline] = VOID
    return _weathered(rng, picture), labels


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    color = np.array(GROUNDS[rng.integers(len(GROUNDS))])
    noise = np.zeros((height, width, 3))
    for sigma, strength in ((1, 25), (4, 90), (16, 350)):
        noise += ndimage.gaussian_filter(rng.normal(0, strength, noise.shape), (sigma, sigma, 0.5))
    return np.clip(color + noise, 0, 255).astype(np.uint8)


def _draw_figure(
    rng: np.random.Generator, name: str, picture: Image.Image, instances: Image.Image, number: int
) -> None:
    size = min(picture.size) * rng.uniform(*FIGURE_SHARE)
    corner = rng.uniform(0, np.array(picture.size) - size)
    angle, mirror = np.radians(rng.normal(0, 8)), rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shade = rng.uniform(0.75, 1.15)
    on_picture, on_instances = ImageDraw.Draw(picture), ImageDraw.Draw(instances)
    for shape, corners, role in FIGURES[name]:
        points = (_outline(shape, np.array(corners)) - 0.5) * [mirror, 1] @ turn
        points = [tuple(point) for point in (points + 0.5) * size + corner]
        color = np.array(COLORS[name].get(role, DARK)) * shade + rng.normal(0, 12, 3)
        on_picture.polygon(points, fill=tuple(np.clip(color, 0, 255).astype(int).tolist()))
        on_instances.polygon(points, fill=number)


def _outline(shape: str, corners: np.ndarray) -> np.ndarray:
    if shape == "polygon":
        return corners
    (left, top), (right, bottom) = corners
    if shape == "rectangle":
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = (corners[1] - corners[0]) / 2
    return corners.mean(axis=0) + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _weathered(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Add soft edges, grain and a change of light, so that no colour alone tells a class."""
    pixels = ndimage.gaussian_filter(np.asarray(picture, np.float64), (0.6, 0.6, 0))
    pixels = pixels * rng.uniform(0.8, 1.15) + rng.normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_data_set(folder: Path, num_train: int, num_val: int, seed: int) -> None:
    """Write JPEGImages, SegmentationClass and ImageSets/Segmentation/{train,val}.txt."""
    images = writable_folder(folder / "JPEGImages")
    masks = writable_folder(folder / "SegmentationClass")
    lists = writable_folder(folder / "ImageSets" / "Segmentation")
    names = [f"shapes_{index:06d}" for index in range(num_train + num_val)]
    for index, name in enumerate(names):
        picture, labels = draw(np.random.default_rng([seed, index]))
        picture.save(images / f"{name}.jpg", quality=92)
        write_mask(masks / f"{name}.png", labels, DATA_SET)
    (lists / "train.txt").write_text("".join(f"{name}\n" for name in names[:num_train]))
    (lists / "val.txt").write_text("".join(f"{name}\n" for name in names[num_train:]))


def parser() -> Parser:
    """Make the parser of make_shapes.py."""
    p = Parser("Draw a small data set in VOC layout, the same for the same seed.", DEFAULTS)
    p.add_argument("folder", metavar="DIR", type=Path, help="new or empty folder for the data set")
    p.add_argument("--num_train", type=COUNT, help="pictures in train.txt")
    p.add_argument("--num_val", type=COUNT, help="pictures in val.txt")
    p.add_argument("--seed", type=WHOLE, help="decides every picture")
    return p


def main(given: dict[str, object]) -> None:
    """Draw the data set into an empty folder."""
    settings = DEFAULTS | given
    if any(writable_folder(settings["folder"]).iterdir()):
        raise UserError(f"{settings['folder']} is not empty; give a new folder")
    write_data_set(**settings)
    print("{num_train} train and {num_val} val pictures in {folder}".format(**settings))


if __name__ == "__main__":
    run(main, parser())
