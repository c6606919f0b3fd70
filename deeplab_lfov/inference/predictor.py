"""Predictor: pictures in; masks, probabilities and scores out."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_lfov.classes import voc_classes
from deeplab_lfov.console import print_warning
from deeplab_lfov.distributed.devices import explaining_lack_of_memory
from deeplab_lfov.errors import UserError, few, printable
from deeplab_lfov.inference.pictures import Picture, batches, pixels
from deeplab_lfov.inference.segmentation import Segmentation, View, memory_for
from deeplab_lfov.inference.settings import PredictionSettings, Refine
from deeplab_lfov.inference.tiles import tiles
from deeplab_lfov.inference.traced_network import TracedNetwork
from deeplab_lfov.network.arithmetic import device_lines
from deeplab_lfov.network.large_fov import LargeFOV
from deeplab_lfov.network.layers import num_cells
from deeplab_lfov.settings import SHARE
from deeplab_lfov.weights.checkpoints import load_prepared
from deeplab_lfov.weights.eight_bits import PRETRAINED
from deeplab_lfov.weights.tf_checkpoint import GoneError, origin_of

BATCH = 2**18
"""Pixels that several pictures together may have in the network: those of one of 512 x 512."""


class Predictor:
    """A network for pictures of any size: `Predictor("model.ckpt-20000")(image)` is the mask.

    An image is a path, a picture of Pillow's or an array, uint8 RGB [H, W, 3]; a list or tuple of
    them gives a list of results. network: a path to weights in any known format, a
    `DeepLabLFOVModel`, whose training it follows, or another predictor's `model`; without one, the
    network that comes along. scales and flip: the views whose probabilities are averaged, a
    mirrored one for each scale with flip. input_size: (height, width) in pixels that every picture
    is padded to with the mean, times the view's scale. max_side: a larger picture is shrunk to this
    for the network. tile: the side in pixels, a multiple of 8, of the pieces that the network takes
    a picture in, so that memory does not grow with it and scores do not change. crf: what refines
    the probabilities, such as a `DenseCRF`. precision: of a network that is given by its path.
    threshold: a class and the probability from which on pixels are of it, such as ("dog", 0.3).
    min_region: the least pixels of a region; smaller ones take the labels nearest to them.
    Raises UserError for options that make no sense, as `load_model` does, and for lack of memory.
    """

    def __init__(
        self,
        network: str | Path | LargeFOV = PRETRAINED,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        input_size: tuple[int, int] | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        crf: Refine | None = None,
        precision: str = "float32",
        threshold: tuple[str, float] | None = None,
        min_region: int = 1,
    ):
        scales = tuple(scales) if isinstance(scales, Iterable) else scales
        how = {"input_size": input_size, "max_side": max_side, "tile": tile, "crf": crf}
        how |= {"threshold": threshold, "min_region": min_region}
        PredictionSettings(scales=scales, flip=flip, precision=precision, **how)  # checks them
        try:
            self._load(network, precision)
        except GoneError:  # a run keeps its newest ones: a folder means another by now
            self._load(network, precision)
        self._process = os.getpid()
        for what, given in (("CRF", crf), ("threshold", threshold)):
            if given and self.model.num_classes == 1:
                raise UserError(f"a {what} needs two classes and the network has one; leave it out")
        flips = (False, True)[: 1 + flip]
        self.views = [View(scale, flip) for scale in scales for flip in flips]
        self.input_size, self.max_side, self.tile, self.crf = input_size, max_side, tile, crf
        self.threshold, self.min_region = threshold, min_region

    def _load(self, network: str | Path | LargeFOV, precision: str) -> None:
        if isinstance(network, LargeFOV):
            self.model, self.classes = network, voc_classes(network.num_classes)
            self.untrained, self.about = (), ""
        else:
            self.model, fit = load_prepared(network, precision)
            self.classes, self.untrained, self.about = fit.classes, fit.untrained, fit.about
        with explaining_lack_of_memory(lambda: "end other programs", " for the network"):
            self._network = TracedNetwork(self.model)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, label 0 first; `classes` has their colours too."""
        return self.classes.names

    def __call__(
        self, image: Picture | Sequence[Picture], *, min_confidence: float | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """Label every pixel with the most probable class: uint8 [H, W].

        min_confidence: as for `Segmentation.labels`.
        """
        if min_confidence is not None:
            SHARE.check("min_confidence", min_confidence)
        return self._each(image, lambda segmentation: segmentation.labels(min_confidence))

    def probabilities(self, image: Picture | Sequence[Picture]) -> np.ndarray | list[np.ndarray]:
        """Compute each class's probability, float32 [H, W, C]; the mask is the highest's class."""
        return self._each(image, Segmentation.probabilities)

    def scores(self, image: Picture | Sequence[Picture]) -> np.ndarray | list[np.ndarray]:
        """Compute scores before softmax and CRF, float32 [H, W, C]."""
        return self._each(image, Segmentation.scores)

    def segment(self, image: Picture) -> Segmentation:
        """Run the network on one picture; its pixels are computed as they are asked for.

        Raises UserError for a picture that is larger than input_size or than memory allows.
        """
        return self._segment([pixels(image)])[0]

    def check_size(self, height: int, width: int) -> None:
        """Raise UserError for a picture that does not fit into input_size."""
        shrink, most = self._shrink(height, width), self.input_size
        if most and (height * shrink > most[0] or width * shrink > most[1]):
            raise UserError(
                f"a picture of {height} x {width} pixels does not fit into --input_size "
                f"{most[0]},{most[1]} (height,width); enlarge it, or shrink pictures with "
                "--max_side"
            )

    def __str__(self) -> str:
        """Name the options that are not their defaults, in a line; empty if there are none."""
        scales = dict.fromkeys(f"{view.scale:g}" for view in self.views)
        parts = [f"scales {', '.join(scales)}"] if list(scales) != ["1"] else []
        parts += ["mirrored too"] if any(view.flip for view in self.views) else []
        parts += ["padded to {} x {}".format(*self.input_size)] if self.input_size else []
        parts += [f"shrunk to {self.max_side} pixels"] if self.max_side else []
        parts += [f"tiles of {self.tile} pixels"] if self.tile else []
        parts += [str(self.crf)] if self.crf else []
        parts += ["{} from {:g} on".format(*self.threshold)] if self.threshold else []
        parts += [f"regions from {self.min_region} pixels on"] if self.min_region > 1 else []
        return "; ".join(parts)

    def label_threshold(self) -> tuple[int, float] | None:
        """Return the threshold with its class's label; raises UserError for an unknown class."""
        return self.threshold and (self.classes.label_of(self.threshold[0]), self.threshold[1])

    def _each(
        self, image: Picture | Sequence[Picture], result: Callable[[Segmentation], np.ndarray]
    ) -> np.ndarray | list[np.ndarray]:
        if not isinstance(image, list | tuple):
            return result(self.segment(image))
        together = batches(image, self._most_together)
        return [result(each) for batch in together for each in self._segment(batch)]

    def _segment(self, images: Sequence[np.ndarray]) -> list[Segmentation]:
        if os.getpid() != self._process:  # TensorFlow's threads are not there: it would hang
            raise UserError("a forked process cannot use TensorFlow; start it by spawn")
        height, width = images[0].shape[:2]
        self.check_size(height, width)
        views = self._views(height, width)
        with memory_for(height, width):
            grids = [self._grids([view.picture(i) for i in images], view) for view in views]
        each = zip(images, zip(*grids, strict=True), strict=True)
        rest = self.crf, self.label_threshold(), self.min_region
        return [Segmentation(image, views, grid, *rest) for image, grid in each]

    def _most_together(self, height: int, width: int) -> int:
        areas = [
            math.prod(map(max, map(view.length, (height, width)), self._padded(view)))
            for view in self._views(height, width)
        ]
        return max(1, BATCH // max(areas))

    def _shrink(self, height: int, width: int) -> float:
        return min(1.0, self.max_side / max(height, width)) if self.max_side else 1.0

    def _views(self, height: int, width: int) -> list[View]:
        shrink = self._shrink(height, width)
        return [view._replace(scale=view.scale * shrink) for view in self.views]

    def _padded(self, view: View) -> list[int]:
        """Return the least height and width in pixels that a view's picture is padded to."""
        return [view.length(side) for side in self.input_size or (1, 1)]

    def _grids(self, pictures: Sequence[np.ndarray], view: View) -> np.ndarray | tf.Tensor:
        """Compute the scores of a view's pictures on the network's grid, float32 [N, h, w, C].

        Tiles change no cell: each is computed from all the pixels that it depends on.
        """
        size = self._padded(view)
        if not self.tile:
            return self._network(np.stack(pictures), size)
        height, width = pictures[0].shape[:2]
        cells = num_cells(height), num_cells(width)
        grids = np.empty([len(pictures), *cells, self.model.num_classes], np.float32)
        for tile in tiles(height, width, self.tile):
            pieces = self._network(np.stack([p[tile.pixels] for p in pictures]), size)
            for grid, piece in zip(grids, np.asarray(pieces), strict=True):
                grid[tile.cells] = piece[tile.inner]
        return grids


def print_network(predictor: Predictor, path: str | Path, device: str, precision: str) -> None:
    """Print the network of a path, the options and the device; warn of one never trained."""
    predictor.label_threshold()  # raises UserError before any work
    lines = [f"network  {predictor.model}, from {origin_of(path)}"]
    lines += [f"         {predictor.about}"] if predictor.about else []
    lines += [f"views    {predictor}"] if str(predictor) else []
    for line in (*lines, *device_lines(device, precision)):
        print(printable(line))
    if predictor.untrained:
        names = few(predictor.untrained)
        line = f"{names} of {path} are random, and so is what it finds: train it first"
        print_warning(f"{line} (train.py --restore_from {path})")
