"""DenseCRF: the parameters of the CRF that refines probabilities, and the call that does it."""

from collections.abc import Container
from dataclasses import dataclass, fields

import numpy as np

from deeplab_lfov.settings import ITERATIONS, KERNEL_WEIGHT, KERNEL_WIDTH, Settings, setting


@dataclass(frozen=True, kw_only=True)
class DenseCRF(Settings):
    """A callable (image, probabilities) -> probabilities; the defaults are VGG LargeFOV's.

    Kernels are normalized symmetrically. Raises UserError for parameters beyond their bounds.
    """

    num_iterations: int = setting(10, ITERATIONS, "iterations of mean field")
    bi_w: float = setting(4.0, KERNEL_WEIGHT, "weight of the bilateral kernel")
    bi_xy_std: float = setting(121.0, KERNEL_WIDTH, "its width in pixels")
    bi_rgb_std: float = setting(5.0, KERNEL_WIDTH, "its width in grey levels")
    pos_w: float = setting(3.0, KERNEL_WEIGHT, "weight of the smoothness kernel")
    pos_xy_std: float = setting(3.0, KERNEL_WIDTH, "its width in pixels")

    def __call__(self, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Refine probabilities float32 [H, W, C] of an image uint8 RGB [H, W, 3].

        The result, float32 [H, W, C], sums to 1 over C. Raises ValueError for less than two
        classes, other types and shapes, and what does not sum to 1.
        """
        from deeplab_lfov.crf.mean_field import refine  # scipy: --help need not wait for it

        image, probabilities = np.asarray(image), np.asarray(probabilities)
        shape, fits = probabilities.shape, image.shape == (*probabilities.shape[:2], 3)
        if not fits or len(shape) != 3 or image.dtype != np.uint8:
            given = f"{image.dtype} {image.shape} and {shape}"
            raise ValueError(f"a CRF takes uint8 RGB [H, W, 3] and float32 [H, W, C], got {given}")
        if shape[2] < 2:
            raise ValueError("a CRF needs two classes or more")
        if not (np.abs(probabilities.sum(axis=2) - 1) < 0.01).all() or (probabilities < 0).any():
            raise ValueError("probabilities are from 0 to 1 and sum to 1 over the last axis")
        return refine(self, image, probabilities)

    def __str__(self) -> str:
        """Name the parameters, in a line."""
        kernels = [f"{field.name} {getattr(self, field.name):g}" for field in fields(self)[1:]]
        return f"CRF of {self.num_iterations} iterations, {', '.join(kernels)}"

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
