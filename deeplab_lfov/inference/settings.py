"""The settings of inference.py, and those that evaluate.py shares with it: their flags by name."""

from dataclasses import dataclass, fields

from deeplab_lfov.crf.dense_crf import DenseCRF


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """How pictures are segmented: the options of a `Predictor`, which explains and checks them."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    input_size: tuple[int, int] | None = None
    max_side: int | None = None
    tile: int | None = None
    precision: str = "float32"
    crf: DenseCRF | None = None

    def options(self) -> dict[str, object]:
        """Return the options of a Predictor by name."""
        return {field.name: getattr(self, field.name) for field in fields(PredictionSettings)}


@dataclass(frozen=True, kw_only=True)
class InferenceSettings(PredictionSettings):
    """What inference.py does: segment `images` (pictures, folders or globs) with weights.

    overlay: the share of the colors over the picture, None for no overlay; with a legend it is 0.5
    if nothing else is said. min_confidence: as for `Segmentation.labels`.
    """

    images: tuple[str, ...]
    ckpt: str
    class_names: str | None = None
    save_dir: str = "output"
    overlay: float | None = None
    legend: bool = False
    save_scores: bool = False
    min_confidence: float | None = None
    json: str | None = None
    deterministic: bool = False

    def __post_init__(self):
        if self.legend and self.overlay is None:
            object.__setattr__(self, "overlay", 0.5)  # of a value that is still being made
