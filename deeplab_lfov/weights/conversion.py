"""Weights in other layouts as tensors of ours: Caffe's LargeFOV and VGG-16, and Keras' VGG16.

Both frameworks trained VGG-16 on BGR pictures minus the mean, so no channel changes places; for
filters that saw torchvision's pictures see `folded`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.network.layers import CONVOLUTIONS, HEAD
from deeplab_lfov.voc import CLASS_NAMES

Blobs = dict[str, list[np.ndarray]]

DECIMATION = 4
"""fc6 and fc7 keep every 4th output: 1024 of VGG-16's 4096 (arXiv 1412.7062, section 3.1)."""
TAP_STEP = 3
"""The step between the taps of fc6's 7 x 7 filters that are kept: 0, 3 and 6."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, RGB in 0..1, as torchvision and timm have them."""


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


def from_caffe(layers: Blobs, where: str | Path) -> list[Converted]:
    """Convert Caffe's blobs of LargeFOV (OIHW), its last layer under any name `fc8...`.

    Layers that the network does not have come through under their own names, to be reported.
    Raises UserError for several last layers.
    """
    head = _head(layers, where)
    rows = []
    for source, blobs in layers.items():
        name = HEAD if source == head else source
        tensors = [_hwio(blobs[0]), *(blob.ravel() for blob in blobs[1:])]
        for position, (blob, tensor) in enumerate(zip(blobs, tensors, strict=True)):
            part = "wb"[position] if position < 2 else str(position)
            rows.append(Converted(f"{source}[{position}]", blob.shape, f"{name}/{part}", tensor))
    return rows


def from_caffe_vgg16(layers: Blobs, where: str | Path) -> list[Converted]:
    """Convert Caffe's blobs of VGG-16 (OIHW) to a network without head: fc6 and fc7 cut down.

    Raises UserError where one of these has not VGG-16's form.
    """
    kept = {name: blobs for name, blobs in layers.items() if not name.startswith("fc8")}
    try:
        inputs = len(layers["conv5_3"][0])
        (fc6, fc6_bias), (fc7, fc7_bias) = layers["fc6"], layers["fc7"]
        fc6 = fc6.reshape(fc6_bias.size, inputs, 7, 7)[::DECIMATION, :, ::TAP_STEP, ::TAP_STEP]
        fc7 = fc7.reshape(fc7_bias.size, fc6_bias.size, 1, 1)[::DECIMATION, ::DECIMATION]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is no VGG-16: {error} (conv5_3, fc6, fc7)") from error
    cut = {
        "fc6": [fc6, fc6_bias.ravel()[::DECIMATION]],
        "fc7": [fc7, fc7_bias.ravel()[::DECIMATION]],
    }
    shapes = [blob.shape for blobs in kept.values() for blob in blobs]
    rows = from_caffe(kept | cut, where)
    return [row._replace(source_shape=s) for row, s in zip(rows, shapes, strict=True)]


def from_keras_vgg16(layers: Blobs, where: str | Path) -> list[Converted]:
    """Convert Keras' [kernel, bias] of VGG16 (HWIO), with its top or not, as Caffe's VGG-16.

    Layers come in the order of the network, whatever their names. Raises UserError for another
    number of layers and where the top has not VGG16's form.
    """
    ranks = [[blob.ndim for blob in blobs] for blobs in layers.values()]
    if len(layers) not in (13, 16) or any(rank not in ([4, 1], [2, 1]) for rank in ranks):
        raise UserError(f"{where} is no VGG16: it holds weights of {len(layers)} layers")
    as_caffe: Blobs = {}
    for layer, (kernel, bias) in zip(CONVOLUTIONS, layers.values(), strict=False):
        if kernel.ndim == 2:  # fc6 sees 7 x 7 cells, by row, column and channel
            side = 7 if layer.name == "fc6" and len(kernel) % 49 == 0 else 1
            kernel = kernel.reshape(side, side, -1, kernel.shape[1])
        as_caffe[layer.name] = [kernel.transpose(3, 2, 0, 1), bias]
    rows = (from_caffe_vgg16 if len(layers) == 16 else from_caffe)(as_caffe, where)
    sources = dict(zip(as_caffe, layers, strict=True))
    return [_from_keras(row, sources[row.name[:-2]], layers) for row in rows]


def _from_keras(row: Converted, source: str, layers: Blobs) -> Converted:
    part = row.name[-1]
    shape = layers[source]["wb".index(part)].shape
    return row._replace(source=f"{source}/{part}", source_shape=shape)


def folded(layers: Blobs) -> Blobs:
    """Return layers (OIHW) of torchvision's, conv1_1 to conv5_3 and others, for Caffe's pictures.

    torchvision's networks see RGB in 0..1 minus a mean, divided by a deviation; this one sees BGR
    in 0..255 minus another mean: conv1_1 takes up the difference. Its filters alone would be 58
    times smaller, and every step of training 3,400 times larger for them. A ReLU passes factors
    on, so the 58 is spread over all convolutions, 1.37 each.
    """
    from deeplab_lfov.preprocess import MEAN_BGR  # loads TensorFlow, which readers do without

    trunk = [name for name in layers if name.startswith("conv")]
    weight, bias = (part.astype(np.float64) for part in layers["conv1_1"])
    deviation = 255 * np.array(DEVIATION)
    shift = np.array(MEAN_BGR[::-1]) - 255 * np.array(MEAN)  # of our zero, in their zeros
    weight = weight / deviation[:, np.newaxis, np.newaxis]
    bias = bias + np.einsum("oihw,i->o", weight, shift)
    layers = layers | {"conv1_1": [weight[:, ::-1], bias]}
    step = deviation.mean() ** (1 / len(trunk))
    before = 1.0
    for number, name in enumerate(trunk, 1):
        after = deviation.mean() / step**number
        weight, bias = layers[name]
        layers[name] = [np.float32(weight * (after / before)), np.float32(np.float64(bias) * after)]
        before = after
    return layers


def _head(layers: Blobs, where: str | Path) -> str | None:
    heads = [name for name in layers if name.startswith("fc8")]
    if len(heads) > 1 and HEAD not in heads:
        raise UserError(f"{where} has several last layers: {few(heads)}")
    return HEAD if HEAD in heads else next(iter(heads), None)


def _hwio(blob: np.ndarray) -> np.ndarray:
    """Turn Caffe's filters OIHW, or a legacy inner product [1, 1, O, I], into HWIO."""
    if blob.ndim == 4 and blob.shape[:2] == (1, 1):
        blob = blob[0, 0]
    if blob.ndim == 2:
        blob = blob[..., np.newaxis, np.newaxis]
    return blob.transpose(2, 3, 1, 0) if blob.ndim == 4 else blob


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
