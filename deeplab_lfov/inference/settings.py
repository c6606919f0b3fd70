"""The settings of inference.py, and those that evaluate.py shares with it."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.settings import (
    COUNT,
    PATH,
    PRECISION,
    SCALES,
    SHARE,
    SIZE,
    SWITCH,
    THRESHOLD,
    TILE,
    Kind,
    Settings,
    setting,
)

Refine = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(image uint8 RGB [H, W, 3], probabilities float32 [H, W, C]) -> probabilities, as a CRF is."""

_REFINE = Kind(
    None, lambda crf: callable(crf) and not isinstance(crf, type), "a callable such as DenseCRF()"
)


@dataclass(frozen=True, kw_only=True)
class PredictionSettings(Settings):
    """How pictures are segmented: the options of a `Predictor`, which explains them.

    Raises UserError for those that exclude each other, too.
    """

    scales: tuple[float, ...] = setting((1.0,), SCALES, "sizes to see a picture in, times its own")
    flip: bool = setting(False, SWITCH, "see each picture mirrored too; probabilities are averaged")
    input_size: tuple[int, int] | None = setting(
        None,
        SIZE,
        "pad every picture to this height,width with the mean, as the authors did (513,513)",
    )
    max_side: int | None = setting(None, COUNT, "shrink larger pictures to this for the network")
    tile: int | None = setting(
        None,
        TILE,
        "take pictures of any size in pieces of so many pixels, such as 512: same scores",
        metavar="SIDE",
    )
    precision: str = setting(
        "float32",
        PRECISION,
        "what convolutions compute in; tensorfloat32 is float32 but on NVIDIA's GPUs from Ampere "
        "on, which are faster in it and less exact",
    )
    deterministic: bool = setting(
        False, SWITCH, "the same bits every time on devices of one kind; slower on GPUs"
    )
    crf: Refine | None = setting(None, _REFINE, "refine the masks with a dense CRF")
    threshold: tuple[str, float] | None = setting(
        None,
        THRESHOLD,
        "pixels are of the class where it is that probable, else of the most probable other",
        metavar="CLASS=SHARE",
    )
    min_region: int = setting(1, COUNT, "regions of fewer pixels take the labels nearest to them")

    def __post_init__(self):
        super().__post_init__()
        if self.tile and self.input_size:
            raise UserError(
                "--tile and --input_size exclude each other: a tiled picture needs no pad"
            )
        if self.tile and self.crf:
            raise UserError(
                "--tile and --crf exclude each other: a CRF takes the whole picture; use --max_side"
            )

    def options(self) -> dict[str, object]:
        """Return the options of a Predictor by name: all but what the process computes with."""
        names = {field.name for field in fields(PredictionSettings)} - {"deterministic"}
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class InferenceSettings(PredictionSettings):
    """What inference.py does: segment `images` (pictures, folders or globs) with weights `ckpt`."""

    images: tuple[str, ...]
    ckpt: str
    class_names: str | None = setting(None, PATH, "file that names a class in each line")
    save_dir: str = setting("output", PATH, "folder for the files")
    overlay: float | None = setting(
        None,
        SHARE,
        "also <picture>_overlay.png, the picture under that much of the colours (0.5 if not said)",
        metavar="SHARE",
        nargs="?",
        const=0.5,
    )
    legend: bool = setting(False, SWITCH, "name the colours below the overlay (0.5 if not given)")
    min_confidence: float | None = setting(
        None,
        SHARE,
        "write void where the most probable class is less probable than that, such as 0.9",
        metavar="SHARE",
    )
    json: str | None = setting(None, PATH, "file for pictures' shares of classes", metavar="FILE")
    csv: str | None = setting(
        None,
        PATH,
        "file for each picture's classes: share, regions, largest, score",
        metavar="FILE",
    )
    save_scores: bool = setting(
        False, SWITCH, "also <picture>_scores.npy, float32 [H, W, C] before softmax and CRF"
    )
    save_probabilities: bool = setting(
        False, SWITCH, "also <picture>_probabilities.npy, float32 [H, W, C] after the CRF, if any"
    )
    skip_existing: bool = setting(False, SWITCH, "leave pictures alone whose files are all there")

    @property
    def share_of_colors(self) -> float | None:
        """The share of colours over the picture: 0.5 for a legend alone, None for no overlay."""
        return 0.5 if self.legend and self.overlay is None else self.overlay
