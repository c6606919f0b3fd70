"""The layers of LargeFOV and VGG-16 as tensors of ours, and the images that they were trained on.

Caffe's VGG-16 saw BGR minus the mean, as this network does; of others see `folded`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError
from deeplab_lfov.network.layers import CONVOLUTIONS, HEAD
from deeplab_lfov.voc import CLASS_NAMES

Blobs = dict[str, list[np.ndarray]]

DECIMATION = 4
"""fc6 and fc7 keep every 4th output: 1024 of VGG-16's 4096 (arXiv 1412.7062, section 3.1)."""
TAP_STEP = 3
"""The step between the taps of fc6's 7 x 7 filters that are kept: 0, 3 and 6."""

TRUNK = [layer.name for layer in CONVOLUTIONS if layer.name.startswith("conv")]
"""conv1_1 ... conv5_3."""


class Input(NamedTuple):
    """What a network's preprocessing did; means and deviations of RGB, in 0..255."""

    about: str
    means: Sequence[float]
    deviations: Sequence[float]
    is_rgb: bool


VGG16_MEANS = (123.68, 116.779, 103.939)
_TORCHVISION = 255 * np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
INPUTS = {
    "caffe": Input("BGR in 0..255 minus a mean", VGG16_MEANS, (1, 1, 1), False),
    "torchvision": Input("RGB in 0..1 minus a mean, divided by a deviation", *_TORCHVISION, True),
    "rgb": Input("RGB in 0..255 minus a mean", VGG16_MEANS, (1, 1, 1), True),
}
"""The images that a VGG-16 may have been trained on."""

_BLOCKS = [(int(name[4]), int(name[6])) for name in TRUNK]
_KNOWN_NAMES = {
    tuple(TRUNK): ("caffe", "by Caffe's names"),
    tuple(f"block{b}_conv{c}" for b, c in _BLOCKS): ("caffe", "by keras.applications' names"),
    tuple(f"vgg_16/conv{b}/conv{b}_{c}" for b, c in _BLOCKS): ("rgb", "by TF-Slim's names"),
}
for _norms in (0, 1):  # torchvision counts ReLUs, poolings and norms too
    _names = tuple(f"features.{(2 + _norms) * n + b - 1}" for n, (b, _) in enumerate(_BLOCKS))
    _KNOWN_NAMES[_names] = ("torchvision", "by torchvision's names")
_PUBLISHED = (0.42947057, 0.55037946, 0.4800154)  # Caffe's conv1_1/w[0, 0, :, 0], BGR


class Converted(NamedTuple):
    """A tensor under our name, with its name and shape in the source."""

    source: str
    source_shape: tuple[int, ...]
    name: str
    tensor: np.ndarray


def by_layer(pairs: Iterable[tuple[str, np.ndarray]]) -> Blobs:
    """Collect the arrays of each layer, which follow each other by its name."""
    layers: Blobs = {}
    for name, array in pairs:
        layers.setdefault(name, []).append(array)
    return layers


def is_vgg16(layers: Blobs) -> bool:
    """Tell whether Caffe's blobs are VGG-16 as published, not cut down: fc6 sees 7 x 7 cells."""
    return "fc6" in layers and layers["fc6"][0].shape[-1:] != (3,)


def from_caffe(layers: Blobs) -> list[Converted]:
    """Convert layers of LargeFOV: filters OIHW, and biases; the last is called fc8."""
    rows = []
    for source, (weight, bias) in layers.items():
        name = HEAD if source == "fc8" else source
        filters = weight if weight.ndim == 4 else weight[..., np.newaxis, np.newaxis]
        hwio = filters.transpose(2, 3, 1, 0)
        rows.append(Converted(f"{source}.weight", weight.shape, f"{name}/w", hwio))
        rows.append(Converted(f"{source}.bias", bias.shape, f"{name}/b", bias))
    return rows


def from_caffe_vgg16(layers: Blobs) -> list[Converted]:
    """Convert layers of VGG-16 (OIHW) to a network without head: fc6 and fc7 cut down."""
    (fc6, fc6_bias), (fc7, fc7_bias) = layers["fc6"], layers["fc7"]
    fc6 = fc6.reshape(fc6_bias.size, -1, 7, 7)[::DECIMATION, :, ::TAP_STEP, ::TAP_STEP]
    fc7 = fc7.reshape(fc7_bias.size, -1, 1, 1)[::DECIMATION, ::DECIMATION]
    cut = {"fc6": [fc6, fc6_bias[::DECIMATION]], "fc7": [fc7, fc7_bias[::DECIMATION]]}
    shapes = [blob.shape for blobs in layers.values() for blob in blobs]
    rows = zip(from_caffe(layers | cut), shapes, strict=True)
    return [row._replace(source_shape=shape) for row, shape in rows]


def input_of(sources: Mapping[str, str], layers: Blobs, where: str | Path) -> tuple[str, str]:
    """Tell by its layers' names which images a network was trained on: one of INPUTS, and why.

    Raises UserError, which says what to give as --input, where others have such names too.
    """
    names = tuple(sources[layer] for layer in TRUNK)
    if names in _KNOWN_NAMES:
        return _KNOWN_NAMES[names]
    choices = "; ".join(f"--input {name} ({each.about})" for name, each in INPUTS.items())
    likely = published_input(layers)
    hint = f"; conv1_1 is that of the published VGG-16, so most likely {likely}" if likely else ""
    raise UserError(
        f"{where} does not say which images it was trained on (its first layer is {names[0]}): "
        f"give what its preprocessing did, {choices}{hint}"
    )


def published_input(layers: Blobs) -> str | None:
    """Tell the input of filters that are the published VGG-16's, in either order of channels."""
    first = layers["conv1_1"][0][0, :, 0, 0]
    likely = {"caffe": _PUBLISHED, "rgb": _PUBLISHED[::-1]}
    return next((name for name, w in likely.items() if np.allclose(first, w, rtol=0.02)), None)


def folded(layers: Blobs, convention: str) -> Blobs:
    """Return layers (OIHW) of a network trained on INPUTS[convention], for this one's pictures.

    conv1_1 takes up the difference of channel order, means and deviations. Its filters alone would
    be 58 times smaller for torchvision's, and every step of training 3,400 times larger for them. A
    ReLU passes factors on, so the 58 is spread over all convolutions, 1.37 each.
    """
    from deeplab_lfov.preprocess import MEAN_BGR  # loads TensorFlow, which readers do without

    means, deviations, is_rgb = INPUTS[convention][1:]
    deviation = np.array(deviations)
    weight, bias = (part.astype(np.float64) for part in layers["conv1_1"])
    weight = (weight if is_rgb else weight[:, ::-1]) / deviation[:, np.newaxis, np.newaxis]
    shift = np.array(MEAN_BGR[::-1]) - np.array(means)  # of our zero, in theirs
    bias = bias + np.einsum("oihw,i->o", weight, shift)
    layers = layers | {"conv1_1": [weight[:, ::-1], bias]}
    step = deviation.mean() ** (1 / len(TRUNK))
    before = 1.0
    for number, name in enumerate(TRUNK, 1):
        after = deviation.mean() / step**number
        weight, bias = layers[name]
        layers[name] = [weight * (after / before), bias.astype(np.float64) * after]
        layers[name] = [part.astype(np.float32) for part in layers[name]]
        before = after
    return layers


def deploy_prototxt() -> str:
    """Return a prototxt of the network's parameters, for pycaffe to read a .caffemodel into."""
    text, bottom = 'input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }\n', "data"
    for layer in CONVOLUTIONS:
        name, channels = layer.name, layer.channels or len(CLASS_NAMES)
        text += f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" '
        text += f"convolution_param {{ num_output: {channels} kernel_size: {layer.size} "
        text += f"pad: {layer.size // 2} }} }}\n"
        bottom = name
    return text
