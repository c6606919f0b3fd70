"""What options may be, the least and the most; what lies beyond is a typing error."""

SCALE = (0.05, 8)
"""The scale of a view, and of a picture in training, times its side."""

TILE = (64, 32760)
"""Pixels of a side; smaller tiles would be nearly all margin."""

ITERATIONS = (0, 100_000)
"""The iterations of the CRF."""

KERNEL_WIDTH = (0.01, 1e6)
"""The widths of the CRF's kernels, in pixels or grey levels."""

KERNEL_WEIGHT = (0, 1e6)
"""The weights of the CRF's kernels, whose sums and exponentials stay within float32."""

PRECISIONS = ("float32", "tensorfloat32", "bfloat16", "float16")
"""What convolutions can compute in; see `network.arithmetic`."""
