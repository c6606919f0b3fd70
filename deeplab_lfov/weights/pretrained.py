"""The network that comes along: trained on a part of VOC 2012, for a first try."""

from pathlib import Path

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "voc_part.npz"
"""Its weights, as `util/export.py --int8` wrote them; the README.md beside them is its card."""
