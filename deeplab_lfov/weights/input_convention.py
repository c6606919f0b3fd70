"""Filters for torchvision's pictures made into filters for Caffe's, with the same scores.

torchvision's networks see RGB in 0..1 minus a mean, divided by a deviation; this one sees BGR in
0..255 minus another mean. Both are linear in the pixels, so conv1_1 can take up the difference. It
is exact but where a filter sees the padding, which is one mean there and the other here.

Folded alone, conv1_1's filters would be 58 times smaller and every step of training 3,400 times
larger for them. A ReLU passes factors on, so the 58 is spread over all convolutions, 1.37 each.
"""

import numpy as np

from deeplab_lfov.preprocess import MEAN_BGR
from deeplab_lfov.weights.conversion import Blobs

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, RGB in 0..1, as torchvision and timm have them."""


def folded(layers: Blobs) -> Blobs:
    """Return layers (OIHW), conv1_1 to conv5_3 and others, for this network's pictures."""
    trunk = [name for name in layers if name.startswith("conv")]
    weight, bias = (part.astype(np.float64) for part in layers["conv1_1"])
    deviation = 255 * np.array(DEVIATION)
    shift = np.array(MEAN_BGR[::-1]) - 255 * np.array(MEAN)  # of our zero, in their zeros
    weight = weight / deviation[:, np.newaxis, np.newaxis]
    bias = bias + np.einsum("oihw,i->o", weight, shift)
    layers = layers | {"conv1_1": [weight[:, ::-1], bias]}
    step = deviation.mean() ** (1 / len(trunk))
    for number, name in enumerate(trunk):
        before, after = (deviation.mean() / step**n for n in (number, number + 1))
        before = 1.0 if number == 0 else before
        weight, bias = layers[name]
        layers[name] = [
            np.float32(weight * (after / before)),
            np.float32(np.asarray(bias, np.float64) * after),
        ]
    return layers
