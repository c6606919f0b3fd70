"""The least and the most that options may be; what lies beyond is a typing error."""

SCALE = (0.05, 8)
"""Of a view and of a picture in training, times its side."""

TILE = (64, 32760)
"""Pixels of a side; smaller tiles would be nearly all margin."""

ITERATIONS = (0, 100_000)
"""Of the CRF."""

KERNEL_WIDTH = (0.01, 1e6)
"""Of the CRF, in pixels or grey levels: from pixels that are all alone to all in one place."""

KERNEL_WEIGHT = (0, 1e6)
"""Of the CRF, whose sums and exponentials stay within float32."""
