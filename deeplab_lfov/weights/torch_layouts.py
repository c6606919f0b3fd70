"""What PyTorch's state dicts hold, told by names and shapes: VGG-16 or LargeFOV.

Tensors belong to modules, `features.0` to `features.0.weight`. Names of Caffe's layers are taken at
their word; else the modules are those of the network in its order, whatever they are called: the
order of the file or of the names, whichever has the network's shapes.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.network.layers import CONVOLUTIONS, WIDTH_UNIT
from deeplab_lfov.weights.conversion import Blobs

EPSILON = 1e-5
"""What PyTorch adds to a variance, if not told otherwise."""

_STATE_DICTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
_STATE_DICTS += ("weights",)
_LAYERS = [layer.name for layer in CONVOLUTIONS]
_TRUNK = 13  # conv1_1 ... conv5_3

Module = dict[str, np.ndarray]


def state_dict_of(content: object, where: str | Path) -> dict[str, np.ndarray]:
    """Find the tensors of a network by name, without `module.`; raises UserError for none."""
    found = _state_dict(content)
    if not found:
        what = "no tensors"
        if isinstance(content, dict) and {"param_groups", "optimizer"} & set(content):
            what = "an optimizer and no network"
        raise UserError(
            f"{where} is a PyTorch file that holds {what}; give a state dict of a network"
        )
    while all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found


def layers_of(tensors: Mapping[str, np.ndarray], where: str | Path) -> Blobs:
    """Sort tensors into the network's layers: filters OIHW and biases, by Caffe's names.

    Batch norm is folded into the filters before it. Raises UserError for other networks.
    """
    modules = _folded(_modules(tensors), where)
    if "conv1_1" in modules:
        return {name: _blobs(module) for name, module in modules.items()}
    in_order = list(modules.items())
    fault = _misfit(in_order)
    if fault:
        raise UserError(f"{where} is neither VGG-16 nor LargeFOV: {fault}")
    _check_one_order(tensors, where)
    names = _LAYERS[: len(in_order)]
    names[_TRUNK:] = ["fc6", "fc7", "fc8"][: len(in_order) - _TRUNK]
    return {name: _blobs(module) for name, (_, module) in zip(names, in_order, strict=True)}


def sources_of(tensors: Mapping[str, np.ndarray], layers: Blobs) -> list[str]:
    """Name the modules that layers come from, in their order."""
    if "conv1_1.weight" in tensors:
        return list(layers)
    return [name for name, module in _modules(tensors).items() if module["weight"].ndim > 1]


def has_torchvision_names(tensors: Mapping[str, np.ndarray]) -> bool:
    """Tell whether modules are called `features.0`, as torchvision's and timm's are."""
    return any(f".{name}".endswith(".features.0.weight") for name in tensors)


def _state_dict(content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        return {}
    own = {str(name): value for name, value in content.items() if isinstance(value, np.ndarray)}
    if any(value.ndim > 1 for value in own.values()):
        return own
    return next((each for key in _STATE_DICTS if (each := _state_dict(content.get(key)))), {})


def _modules(tensors: Mapping[str, np.ndarray]) -> dict[str, Module]:
    """Group tensors by module, in the order of the file or of their names, as the network's is."""
    orders = [_grouped(tensors, names) for names in (tensors, sorted(tensors, key=_natural))]
    return next((each for each in orders if not _misfit(_filters(each))), orders[-1])


def _check_one_order(tensors: Mapping[str, np.ndarray], where: str | Path) -> None:
    """Raise UserError where file and names have two orders of layers and both would do."""
    orders = [_grouped(tensors, names) for names in (tensors, sorted(tensors, key=_natural))]
    fitting = [_filters(each) for each in orders if not _misfit(_filters(each))]
    for (name, _), (other, _) in zip(fitting[0], fitting[-1], strict=True):
        if name != other:
            raise UserError(
                f"{where} has layers in two possible orders: {name} is before {other} in the file, "
                "and behind it by name; call them conv1_1 to fc8"
            )


def _filters(modules: Mapping[str, Module]) -> list[tuple[str, Module]]:
    return [(name, module) for name, module in modules.items() if module["weight"].ndim > 1]


def _grouped(tensors: Mapping[str, np.ndarray], names: Iterable[str]) -> dict[str, Module]:
    modules: dict[str, Module] = {}
    for name in names:
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensors[name]
    return {name: module for name, module in modules.items() if "weight" in module}


def _natural(name: str) -> list[tuple[bool, int | str]]:
    """Order `features.10` behind `features.2`, then `classifier` or `pre_logits`, then `head`."""
    place = 0 if name.startswith(("features", "vgg", "conv")) else 2 if "head" in name else 1
    parts = enumerate(re.split(r"(\d+)", name))
    return [(False, place), *((n % 2 == 0, int(part) if n % 2 else part) for n, part in parts)]


def _folded(modules: dict[str, Module], where: str | Path) -> dict[str, Module]:
    """Fold each batch norm into the module before it; raises UserError for one without."""
    folded: dict[str, Module] = {}
    last = ""
    for name, module in modules.items():
        if "running_var" in module and last:
            folded[last] = _fold(folded[last], module)
        elif module["weight"].ndim in (2, 4):
            folded[name], last = module, name
        else:
            raise UserError(f"{where} has a module {name} that is neither convolution nor linear")
    return folded


def _fold(convolution: Module, norm: Module) -> Module:
    scale = norm["weight"] / np.sqrt(norm["running_var"].astype(np.float64) + EPSILON)
    bias = convolution.get("bias", 0) - norm["running_mean"]
    weight = convolution["weight"] * scale.reshape(-1, 1, 1, 1)
    bias = bias * scale + norm["bias"]
    return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}


def _misfit(modules: list[tuple[str, Module]]) -> str:
    """Say what is not as in the network, whose modules these should be in order; else nothing."""
    shapes = [module["weight"].shape for _, module in modules]
    if not _TRUNK <= len(modules) <= len(_LAYERS):
        rest = [name for name, _ in modules[len(_LAYERS) :]]
        more = f", the last {few(rest)}" if rest else ""
        return f"it has {len(modules)} layers of filters{more}"
    width = shapes[0][0] / WIDTH_UNIT
    inputs = 3
    for layer, (name, _), shape in zip(CONVOLUTIONS, modules, shapes, strict=False):
        if layer.name.startswith("fc"):  # of any number of outputs, and linear or not
            flat = layer.name == "fc6" and len(shape) == 2
            wanted = (shape[0], inputs * 49 if flat else inputs, *shape[2:])
        else:
            wanted = (round(layer.channels * width), inputs, 3, 3)
        if shape != wanted:
            return f"{name} is {_text(shape)}, and {layer.name} would be {_text(wanted)}"
        inputs = wanted[0]
    return ""


def _blobs(module: Module) -> list[np.ndarray]:
    weight = module["weight"]
    return [weight, module.get("bias", np.zeros(len(weight), np.float32)).ravel()]


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
