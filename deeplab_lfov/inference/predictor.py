"""Predictor: pictures in; masks, probabilities and scores out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov import limits
from deeplab_lfov.classes import voc_classes
from deeplab_lfov.errors import UserError
from deeplab_lfov.inference.prepared_network import LiveNetwork, PreparedNetwork
from deeplab_lfov.inference.segmentation import Refine, Segmentation, View
from deeplab_lfov.inference.tiles import tiles
from deeplab_lfov.network.layers import STRIDE, num_cells
from deeplab_lfov.network.model import DeepLabLFOVModel
from deeplab_lfov.weights.checkpoints import load_model_and_classes


class Predictor:
    """A network for pictures of any size: `Predictor("model.ckpt-20000")(image)` is the mask.

    network: a path to weights in any known format, or a model, whose training it follows. scales
    and flip: the views whose probabilities are averaged, a mirrored one for each scale with flip.
    input_size: (height, width) in pixels that every picture is padded to with the mean, times the
    view's scale. max_side: a larger picture is shrunk to this for the network, and its mask has its
    own size again. tile: the side in pixels, a multiple of 8, of the pieces that the network takes
    a picture in, so that memory does not grow with it and scores do not change. crf: what refines
    the probabilities at the picture's own size, see `crf.DenseCRF`. precision: of a network that is
    given by its path. `limits` bounds scales and tile.
    Raises UserError for options that make no sense, alone or together, and as `load_model` does.
    """

    def __init__(
        self,
        network: str | Path | DeepLabLFOVModel,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        input_size: tuple[int, int] | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        crf: Refine | None = None,
        precision: str = "float32",
    ):
        scales = _checked_scales(scales)
        _check_options(input_size, max_side, tile, crf)
        if isinstance(network, DeepLabLFOVModel):
            self.model, self.classes = network, voc_classes(network.num_classes)
            self._network = LiveNetwork(network)
        else:
            self.model, self.classes = load_model_and_classes(network, precision=precision)
            self._network = PreparedNetwork(self.model)
        if crf and self.model.num_classes == 1:
            raise UserError("a CRF needs two classes or more and the network has one; leave it out")
        self.views = [View(s, mirrored) for s in scales for mirrored in (False, True)[: 1 + flip]]
        self.input_size, self.max_side, self.tile, self.crf = input_size, max_side, tile, crf

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, label 0 first; `classes` has their colours too."""
        return self.classes.names

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Label every pixel with the most probable class: uint8 RGB [H, W, 3] -> uint8 [H, W]."""
        return self.segment(image).labels()

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Compute each class's probability: uint8 RGB [H, W, 3] -> float32 [H, W, C].

        The mask is the class of the highest.
        """
        return self.segment(image).probabilities()

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Compute scores before softmax and CRF: uint8 RGB [H, W, 3] -> float32 [H, W, C]."""
        return self.segment(image).scores()

    def segment(self, image: np.ndarray) -> Segmentation:
        """Run the network on uint8 RGB [H, W, 3]; pixels are computed as they are asked for.

        Raises UserError for a picture that is larger than input_size or than memory allows.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"an image is uint8 [H, W, 3], got {image.dtype} {image.shape}")
        self.check_size(*image.shape[:2])
        shrink = self._shrink(*image.shape[:2])
        views = [view._replace(scale=view.scale * shrink) for view in self.views]
        sizes = [[view.length(p) for p in self.input_size or (1, 1)] for view in self.views]
        try:
            pictures = (view.picture(image) for view in views)
            grids = [self._grid(*padded) for padded in zip(pictures, sizes, strict=True)]
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise UserError(
                f"out of memory for a picture of {image.shape[1]} x {image.shape[0]} pixels; "
                f"{SMALLER}"
            ) from error
        return Segmentation(image, views, grids, self.crf)

    def check_size(self, height: int, width: int) -> None:
        """Raise UserError for a picture that does not fit into input_size."""
        sides = (side * self._shrink(height, width) for side in (height, width))
        if self.input_size and any(
            s > most for s, most in zip(sides, self.input_size, strict=True)
        ):
            raise UserError(
                f"a picture of {width} x {height} pixels does not fit into --input_size "
                f"{self.input_size[0]},{self.input_size[1]} (height,width); enlarge it, or shrink "
                "pictures with --max_side"
            )

    def __str__(self) -> str:
        """Name the options that are not their defaults, in a line; empty if there are none."""
        scales = dict.fromkeys(f"{view.scale:g}" for view in self.views)
        parts = [f"scales {', '.join(scales)}"] if list(scales) != ["1"] else []
        parts += ["mirrored too"] if any(view.flip for view in self.views) else []
        parts += ["padded to {1} x {0}".format(*self.input_size)] if self.input_size else []
        parts += [f"shrunk to {self.max_side} pixels"] if self.max_side else []
        parts += [f"tiles of {self.tile} pixels"] if self.tile else []
        parts += [str(self.crf)] if self.crf else []
        return "; ".join(parts)

    def _shrink(self, height: int, width: int) -> float:
        return min(1.0, self.max_side / max(height, width)) if self.max_side else 1.0

    def _grid(self, picture: np.ndarray, size: list[int]) -> np.ndarray | tf.Tensor:
        """Compute a view's scores on the network's grid, float32 [h, w, C].

        The view is padded to at least size.
        """
        if not self.tile:
            return self._network(picture, size)
        height, width = picture.shape[:2]
        cells = num_cells(height), num_cells(width)
        grid = np.empty([*cells, self.model.num_classes], np.float32)
        for tile in tiles(height, width, self.tile):
            grid[tile.cells] = np.asarray(self._network(picture[tile.pixels], size))[tile.inner]
        return grid


def _checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    try:
        scales = tuple(scales)
    except TypeError as error:
        raise UserError(f"scales must be several, such as ({scales},), got {scales}") from error
    least, most = limits.SCALE
    if not scales or not all(least <= scale <= most for scale in scales):
        raise UserError(f"scales must lie from {least} to {most}, got {list(scales)}")
    return scales


def _check_options(
    input_size: tuple[int, int] | None,
    max_side: int | None,
    tile: int | None,
    crf: Refine | None,
) -> None:
    least, most = limits.TILE
    if tile is not None and (not least <= tile <= most or tile % STRIDE):
        raise UserError(
            f"a tile's side must be a multiple of {STRIDE} from {least} to {most}, got {tile}"
        )
    if max_side is not None and max_side < 1:
        raise UserError(f"max_side must be at least 1, got {max_side}")
    if input_size and min(input_size) < 1:
        raise UserError(f"input_size must be at least 1,1, got {input_size}")
    if tile and input_size:
        raise UserError("--tile and --input_size exclude each other: a tiled picture needs no pad")
    if tile and crf:
        raise UserError(
            "--tile and --crf exclude each other: a CRF takes the whole picture; use --max_side"
        )


SMALLER = "take it in pieces with --tile 512, or shrink it with --max_side 1024"
"""What helps against a lack of memory."""
