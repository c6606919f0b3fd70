"""What util/benchmark.py measures with: drawn pictures and data sets, random weights."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from deeplab_lfov.data.image_files import write_mask
from deeplab_lfov.errors import UserError
from deeplab_lfov.network.layers import num_cells
from deeplab_lfov.startup import load_tensorflow

if TYPE_CHECKING:
    from deeplab_lfov.inference.predictor import Predictor


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Draw smooth colors under a little noise, as in a photograph: uint8 RGB [H, W, 3]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 14, 3), np.uint8)).resize(size[::-1])
    return (np.asarray(coarse) * 0.9 + rng.normal(12, 4, (*size, 3))).clip(0, 255).astype(np.uint8)


def make_predictor(width: float, precision: str, folder: Path) -> Predictor:
    """Make a predictor of random weights that another process, whose memory is its own, makes."""
    from deeplab_lfov.inference.predictor import Predictor

    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=load_tensorflow) as pool:
        path = pool.submit(write_checkpoint, width, precision, folder).result()
    return Predictor(path, precision=precision)


def write_checkpoint(width: float, precision: str, folder: Path) -> Path:
    """Write a checkpoint of random weights, by a network of the precision that is used later."""
    from deeplab_lfov.network.model import DeepLabLFOVModel
    from deeplab_lfov.weights.checkpoints import export_weights

    path = folder / "model.ckpt-0"
    export_weights(DeepLabLFOVModel(width=width, precision=precision, seed=0), path)
    return path


def unsure_probabilities(size: tuple[int, int], seed: int) -> np.ndarray:
    """Make a network's probabilities: smooth between every 8th pixel, unsure of 21 classes."""
    from deeplab_lfov.inference.segmentation import Segmentation, View

    rng = np.random.default_rng(seed)
    cells = [num_cells(pixels) for pixels in size]
    scores = Segmentation(
        np.zeros((*size, 3), np.uint8),
        [View()],
        [rng.normal(0, 2, (*cells, 21)).astype(np.float32)],
    )
    return scores.probabilities()


def jpegs(data_dir: Path) -> list[Path]:
    """List the pictures of VOC's folders; raises UserError where there is none."""
    found = sorted((data_dir / "JPEGImages").glob("*.jpg"))
    if not found:
        raise UserError(f"there is no picture JPEGImages/*.jpg in --data_dir {data_dir}")
    return found


def draw_data_set(folder: Path, num_images: int = 100, size: tuple[int, int] = (375, 500)) -> Path:
    """Draw pictures of VOC's usual size with masks of one class each."""
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir()
    for seed in range(num_images):
        image = Image.fromarray(picture(size, seed))
        image.save(folder / f"JPEGImages/{seed:03}.jpg", quality=90)
        mask = np.full(size, seed % 21, np.uint8)
        write_mask(folder / f"SegmentationClass/{seed:03}.png", mask)
    return folder
