"""The layers of VGG-16 and LargeFOV, found by their shapes among whatever another program stored.

Tensors belong to modules, `features.0` to `features.0.weight`. VGG-16's thirteen convolutions are
those that follow each other with its shapes; what else a file holds is left out, and said.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeplab_lfov.errors import UserError, few
from deeplab_lfov.network.layers import CONVOLUTIONS, WIDTH_UNIT
from deeplab_lfov.weights.conversion import TRUNK, Blobs

EPSILONS = {"PyTorch": 1e-5, "Keras": 1e-3}
"""What libraries add to a variance, if not told otherwise."""

_WRAPPERS = r"(?<![^.])(?:(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
_PARTS = {
    "weight": "weight|weights|kernel|gamma|w|W|0",
    "bias": "bias|biases|beta|b|B|1",
    "mean": "running_mean|moving_mean|2",
    "variance": "running_var|moving_variance|3",
}
_PART = "|".join(f"(?P<{part}>{names})" for part, names in _PARTS.items())
_REWRITTEN = r"weight_orig$|weight_[gv]$|parametrizations\.|_packed_params|zero_point"
_REMEDY = "torch.nn.utils' prune.remove or parametrize.remove_parametrizations undoes that"
_COUNTERS = r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d_]"
_UNITS = [layer.channels // WIDTH_UNIT for layer in CONVOLUTIONS[: len(TRUNK)]]
_KEEPING = "a file that keeps the order of layers may do, torch.save's or Keras' .h5"

Module = dict[str, np.ndarray]
Modules = dict[str, Module]


class Match(NamedTuple):
    """Layers by Caffe's names (filters OIHW, biases), whence they are, and what to tell of them."""

    layers: Blobs
    sources: dict[str, str]
    left_out: list[str]  # other modules with filters
    notes: list[str]
    lacks_values: bool  # of fc6 and fc7


def match_layers(tensors: Mapping[str, np.ndarray], where: str | Path, order: str) -> Match:
    """Find VGG-16's convolutions, and fc6, fc7 and LargeFOV's head where they have that form.

    order: "graph" where tensors come as the network computes, "file" where they come so or as their
    names say, "names" where only names can tell. Batch norm is folded into the filters before it.
    Raises UserError for other networks, and where there are two ways to match.
    """
    hwio = any(t.shape[:3] == (3, 3, 3) != t.shape[1:] for t in tensors.values())
    by_name = sorted(tensors, key=_natural)
    orders = {"graph": [tensors], "file": [tensors, by_name], "names": [by_name]}[order]
    grouped = [_modules(tensors, names, hwio) for names in orders]
    ways = [(modules, trunk) for modules in grouped if (trunk := _trunk(modules, where))]
    if not ways:
        raise UserError(f"{where} holds no VGG-16: {_misfit(grouped[-1], tensors)}")
    modules, trunk = ways[0]
    norms = _norms(modules, trunk, where)
    pairs = [zip(own, [n for n in ways[-1][0] if n in own], strict=True) for own in (trunk, norms)]
    doubts = [(one, two) for one, two in itertools.chain(*pairs) if one != two]
    if order == "names":  # words are in no order
        shapes, words = _filters(modules), {n: re.sub(_COUNTERS, "", n) for n in trunk}
        pairs = [(a, b) for a, b in itertools.pairwise(trunk) if words[a] != words[b]]
        doubts = [(a, b) for a, b in pairs if shapes[a] == shapes[b]]
    if doubts:
        raise UserError(
            f"{where} has layers in two possible orders: {doubts[0][0]} is before {doubts[0][1]}, "
            f"or behind it; call them conv1_1 to fc8, or {_KEEPING}"
        )
    for name in trunk + norms:
        for part, numbers in modules[name].items():
            if numbers.dtype.kind != "f":
                raise UserError(f"{where}: {name} ({part}) holds {numbers.dtype} and not floats")
            if not np.isfinite(numbers).all():
                raise UserError(f"{where}: {name} ({part}) holds numbers that are not finite")
    return _match(modules, trunk, norms, hwio)


def _match(modules: Modules, trunk: list[str], norms: list[str], hwio: bool) -> Match:
    layers = {layer: _blobs(modules[name]) for layer, name in zip(TRUNK, trunk, strict=True)}
    notes, epsilon = [], EPSILONS["Keras" if hwio else "PyTorch"]
    for layer, norm in zip(TRUNK, norms, strict=False):
        layers[layer] = _with_norm(*layers[layer], modules[norm], epsilon)
        notes = [f"13 batch norms folded into the filters before them, epsilon {epsilon}"]
    rest = {name: m for name, m in modules.items() if _has_filters(m) and name not in trunk}
    top = _top(rest, *(len(layers[name][0]) for name in ("conv1_1", "conv5_3")))
    values = [part for name in top.values() for part in rest[name].values()]
    lacks_values = not all(np.isfinite(part).all() for part in values)
    if lacks_values or not top:
        why = "their values are missing" if lacks_values else "the file has none of VGG-16's form"
        notes, top = [*notes, f"fc6 and fc7 start afresh: {why}"], {}
    layers |= {layer: _blobs(rest[name]) for layer, name in top.items()}
    if hwio and top and layers["fc6"][0].ndim == 2:  # inputs by row and column, then channel
        weight = layers["fc6"][0].reshape(-1, 7, 7, len(layers["conv5_3"][0]))
        layers["fc6"][0] = weight.transpose(0, 3, 1, 2).reshape(len(weight), -1)
    left_out = [name for name in rest if name not in top.values()]
    return Match(layers, dict(zip(TRUNK, trunk, strict=True)) | top, left_out, notes, lacks_values)


def _modules(tensors: Mapping[str, np.ndarray], names: Iterable[str], hwio: bool) -> Modules:
    """Group tensors by module in the order of `names`; filters become OIHW, matrices [O, I]."""
    plain = {name: re.sub(_WRAPPERS, "", name) for name in names}
    if len(set(plain.values())) < len(plain):  # a network beside the same one in a wrapper
        plain = {name: name for name in plain}
    modules: Modules = {}
    for name, plain_name in plain.items():
        if found := re.fullmatch(rf"(?s:(.*?))(?:[./]|(?<=_)(?=[WBb]$))(?:{_PART})", plain_name):
            tensor, part = tensors[name], found.lastgroup
            if hwio and part == "weight" and tensor.ndim in (2, 4):
                tensor = tensor.transpose((1, 0) if tensor.ndim == 2 else (3, 2, 0, 1))
            elif tensor.ndim == 4 and tensor.shape[:2] == (1, 1) and tensor.shape[2:] != (3, 3):
                tensor = tensor[0, 0]  # an inner product, or its biases, as Caffe stored it once
            modules.setdefault(found[1], {})[part] = tensor
    return modules


def _has_filters(module: Module) -> bool:
    return module.get("weight", np.zeros(0)).ndim > 1


def _natural(name: str) -> list[int | str]:
    """Order `features.10` behind `features.2`."""
    return [int(part) if n % 2 else part for n, part in enumerate(re.split(r"(\d+)", name))]


def _filters(modules: Modules) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the convolutions of 3x3 by module."""
    shapes = {name: m["weight"].shape for name, m in modules.items() if "weight" in m}
    return {name: shape for name, shape in shapes.items() if shape[2:] == (3, 3)}


def _wanted(width: int) -> list[tuple[int, ...]]:
    """Return the shapes of the thirteen filters where the first has `width` outputs."""
    outputs = [units * width for units in _UNITS]
    return [(o, i, 3, 3) for o, i in zip(outputs, [3, *outputs], strict=False)]


def _trunk(modules: Modules, where: str | Path) -> list[str]:
    """Find the one run of convolutions of VGG-16's shapes; raises UserError for several."""
    shapes = _filters(modules)
    runs = [list(shapes)[n : n + len(TRUNK)] for n in range(len(shapes))]
    runs = [run for run in runs if [shapes[name] for name in run] == _wanted(shapes[run[0]][0])]
    if len(runs) > 1:
        firsts = few([run[0] for run in runs])
        raise UserError(f"{where} holds several VGG-16s, at {firsts}; save one of them alone")
    return runs[0] if runs else []


def _misfit(modules: Modules, tensors: Mapping[str, np.ndarray]) -> str:
    """Say what is not as in VGG-16, from the first filters for pictures on."""
    if rewritten := next((name for name in tensors if re.search(_REWRITTEN, name)), ""):
        return f"{rewritten} is of pruned, normed or quantized filters; {_REMEDY}"
    shapes = list(_filters(modules).items())
    start = next((n for n, (_, shape) in enumerate(shapes) if shape[1] == 3), 0)
    wanted = _wanted(shapes[start][1][0]) if shapes else []
    for layer, (name, *shape), right in zip(TRUNK, shapes[start:], wanted, strict=False):
        if shape != [right]:
            one, other = ("x".join(map(str, each)) for each in (*shape, right))
            return f"{name} is {one}, and {layer} would be {other}; if it is there, {_KEEPING}"
    return f"it has {len(shapes)} convolutions of 3x3, and VGG-16 thirteen of floats"


def _norms(modules: Modules, trunk: list[str], where: str | Path) -> list[str]:
    """Return the batch norm of each convolution, by number and size; none where there is none.

    Raises UserError for others among them. What stands behind a layer of the head, or beside one
    and no convolution of these, or is of a size of its own, belongs to the head.
    """
    wanted = [len(modules[name]["weight"]) for name in trunk]
    sizes = {name: m["variance"].size for name, m in modules.items() if "variance" in m}
    runs = [list(sizes)[n : n + len(TRUNK)] for n in range(len(sizes))]
    runs = [run for run in runs if [sizes[name] for name in run] == wanted]
    paired = [name for run in runs for name in run]
    heads = {_parent(name) for name, m in modules.items() if _has_filters(m) and name not in trunk}
    heads -= {_parent(name) for name in trunk}
    stray, in_head = [], False
    for name, module in modules.items():
        if _has_filters(module):
            in_head = name not in trunk
        elif {"weight", "variance"} & set(module) and name not in paired:
            elsewhere = in_head or _parent(name) in heads or sizes.get(name, 3) not in (3, *wanted)
            stray += [] if elsewhere else [name]
    if stray or len(runs) > 1:
        raise UserError(
            f"{where} has {few(stray or paired)} beside its thirteen convolutions: known are "
            f"thirteen batch norms of their sizes, or none; if these are of its head, {_KEEPING}"
        )
    return paired


def _parent(name: str) -> str:
    return re.sub(r"[./]?[^./]*$", "", name)


def _with_norm(
    weight: np.ndarray, bias: np.ndarray, norm: Module, epsilon: float
) -> list[np.ndarray]:
    scale = norm.get("weight", 1) / np.sqrt(norm["variance"].astype(np.float64) + epsilon)
    bias = (bias - norm["mean"]) * scale + norm.get("bias", 0)
    return [np.float32(weight * scale.reshape(-1, 1, 1, 1)), np.float32(bias)]


def _top(rest: Modules, width: int, channels: int) -> dict[str, str]:
    """Find fc6, fc7 and LargeFOV's head, as VGG-16 was published or cut down; else nothing."""
    shapes = {name: module["weight"].shape for name, module in rest.items()}
    for side, size in ((7, 64 * width), (3, 16 * width)):
        forms = [(size, channels, side, side)] + [(size, channels * 49)] * (side == 7)
        fc6 = [name for name, shape in shapes.items() if shape in forms]
        fc7 = [n for n, shape in shapes.items() if shape in [(size, size), (size, size, 1, 1)]]
        if len(fc6) == len(fc7) == 1:
            heads = [n for n, shape in shapes.items() if shape[1:] in [(size,), (size, 1, 1)]]
            heads.remove(fc7[0])
            named = [name for name in heads if re.search(r"(^|[./])fc8[^./]*$", name)]
            named = named or heads * (len(rest) == 3)
            head = {"fc8": named[0]} if side == 3 and len(named) == 1 else {}
            return {"fc6": fc6[0], "fc7": fc7[0]} | head
    return {}


def _blobs(module: Module) -> list[np.ndarray]:
    weight = module["weight"]
    return [weight, module.get("bias", np.zeros(len(weight), np.float32)).ravel()]
