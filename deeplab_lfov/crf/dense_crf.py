"""DenseCRF: the parameters of the CRF that refines probabilities, and the call that does it."""

from collections.abc import Container
from dataclasses import dataclass, fields

import numpy as np

from deeplab_lfov.limits import ITERATIONS, KERNEL_WEIGHT, KERNEL_WIDTH


@dataclass(frozen=True, kw_only=True)
class DenseCRF:
    """A callable (image, probabilities) -> probabilities; the defaults are VGG LargeFOV's.

    bi_w, bi_xy_std, bi_rgb_std: weight of the bilateral kernel, its width in pixels and in grey
    levels; pos_w, pos_xy_std: of the kernel of position. Kernels are normalized symmetrically.
    Raises ValueError for parameters beyond the `limits`.
    """

    num_iterations: int = 10
    bi_w: float = 4.0
    bi_xy_std: float = 121.0
    bi_rgb_std: float = 5.0
    pos_w: float = 3.0
    pos_xy_std: float = 3.0

    def __post_init__(self):
        others = {"num_iterations": ITERATIONS, "bi_w": KERNEL_WEIGHT, "pos_w": KERNEL_WEIGHT}
        for name, value in vars(self).items():
            least, most = others.get(name, KERNEL_WIDTH)
            if not least <= value <= most:
                raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value:g}")

    def __call__(self, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Refine probabilities float32 [H, W, C] of an image uint8 RGB [H, W, 3].

        The result, float32 [H, W, C], sums to 1 over C. Raises ValueError for less than two
        classes and for shapes that do not fit.
        """
        from deeplab_lfov.crf.mean_field import refine  # scipy: --help need not wait for it

        if probabilities.ndim != 3 or image.shape != (*probabilities.shape[:2], 3):
            raise ValueError(f"image {image.shape} does not fit {probabilities.shape}")
        if probabilities.shape[2] < 2:
            raise ValueError("a CRF needs two classes or more")
        return refine(self, image, probabilities)

    def __str__(self) -> str:
        """Name the parameters, in a line."""
        return (
            f"CRF of {self.num_iterations} iterations, bi_w {self.bi_w:g}, "
            f"bi_xy_std {self.bi_xy_std:g}, bi_rgb_std {self.bi_rgb_std:g}, "
            f"pos_w {self.pos_w:g}, pos_xy_std {self.pos_xy_std:g}"
        )

    def as_flags(self, always: Container[str] = ()) -> str:
        """Write the CRF as on a command line: what is not its default, and what `always` names."""
        told = [
            f"--{flag_of(field.name)} {getattr(self, field.name):.9g}"
            for field in fields(self)
            if field.name in always or getattr(self, field.name) != field.default
        ]
        return " ".join(["--crf", *told])


def flag_of(parameter: str) -> str:
    """Return the name of the flag that sets a parameter of the CRF."""
    return "crf_iterations" if parameter == "num_iterations" else parameter
