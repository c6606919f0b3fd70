"""What a predictor takes for a picture: a path, a picture of Pillow's, or an array."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_lfov.data.image_files import pixels_of, read_image

Picture = str | Path | Image.Image | np.ndarray


def pixels(picture: Picture) -> np.ndarray:
    """Return a picture's pixels, uint8 RGB [H, W, 3]; arrays are that already.

    Files and Pillow's pictures may have any mode and are turned as their EXIF orientation says.
    Raises TypeError for what is no picture, ValueError for an array of another type or shape, and
    UserError for a picture that cannot be decoded.
    """
    if isinstance(picture, str | Path):
        picture = read_image(picture)
    elif isinstance(picture, Image.Image):
        picture = pixels_of(picture)
    if not isinstance(picture, np.ndarray):
        raise TypeError(
            "a picture is a path, a picture of Pillow's or an array uint8 RGB [H, W, 3]; several "
            f"are a list or tuple, which list(...) makes; got {type(picture).__name__}"
        )
    shape, dtype = picture.shape, picture.dtype
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or not picture.size:
        raise ValueError(f"an image is uint8 RGB [H, W, 3], got {dtype} {shape}")
    return picture


def batches(
    pictures: Sequence[Picture], most: Callable[[int, int], int]
) -> Iterator[list[np.ndarray]]:
    """Yield the pixels of pictures in their order, neighbours of one size together.

    most: how many of a height and width may be in a batch.
    """
    batch: list[np.ndarray] = []
    for image in map(pixels, pictures):
        if batch and (image.shape != batch[0].shape or len(batch) >= most(*image.shape[:2])):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch
