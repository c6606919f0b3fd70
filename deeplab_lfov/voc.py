"""PASCAL VOC 2012: class names, the void label and the colour of every label."""

import numpy as np

CLASS_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
"""The 21 classes in the order of their labels (VOC devkit, VOCinit.m)."""

VOID = 255
"""The label of pixels that count neither in the loss nor in the metric."""


def _palette() -> np.ndarray:
    labels = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (labels >> (3 * bit + channel) & 1) << (7 - bit)
    return colors.astype(np.uint8)


PALETTE = _palette()
"""uint8 RGB [256, 3], the colour of every label (VOC devkit, VOClabelcolormap.m)."""
