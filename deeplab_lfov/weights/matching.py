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
_STATE_DICTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
_STATE_DICTS += ("weights",)
_PARTS = {
    "weight": "weight|weights|kernel|gamma|w|W|0",
    "bias": "bias|biases|beta|b|B|1",
    "mean": "running_mean|moving_mean|2",
    "variance": "running_var|moving_variance|3",
}
_PART = "|".join(f"(?P<{part}>{names})" for part, names in _PARTS.items())
_NOT_PLAIN = {
    r"weight_orig$": "pruned filters; prune.remove(module, 'weight') first, or spectral_norm's",
    r"weight_[gv]$|parametrizations\.": "filters under a parametrization, such as weight norm; "
    "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') first",
    r"_packed_params|zero_point": "quantized filters; give the network before that",
}
_COUNTERS = r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d_]"
_TRUNK_UNITS = [layer.channels // WIDTH_UNIT for layer in CONVOLUTIONS[: len(TRUNK)]]
_TOP_UNITS = {7: 64, 3: 16}
"""Outputs of fc6 and fc7, in widths of conv1_1, by the side of fc6: as published, and cut down."""

MISSING_VALUES = "their values are missing"
Module = dict[str, np.ndarray]
Modules = dict[str, Module]


class Match(NamedTuple):
    """Layers by Caffe's names (filters OIHW, biases), whence they are, and what to tell of them."""

    layers: Blobs
    sources: dict[str, str]
    left_out: list[str]  # other modules with filters
    notes: list[str]

    @property
    def lacks_values(self) -> bool:
        """Tell whether there is a top without numbers."""
        return any(MISSING_VALUES in note for note in self.notes)


def state_dict_of(content: object, where: str | Path) -> dict[str, np.ndarray]:
    """Find the tensors of a network by name, without names of wrappers; raises UserError for none.

    They are at the top, under a usual key, or in the one dict of the top's that holds filters.
    """
    found = _state_dict(content)
    if not found and isinstance(content, dict):
        inner = {key: _state_dict(each) for key, each in content.items() if "optim" not in str(key)}
        inner = {key: each for key, each in inner.items() if each}
        if len(inner) > 1:
            raise UserError(f"{where} holds several networks: {few(list(inner))}; save one of them")
        found = next(iter(inner.values()), {})
    if not found:
        what = "no tensors"
        if isinstance(content, dict) and {"param_groups", "optimizer"} & set(content):
            what = "an optimizer and no network"
        raise UserError(
            f"{where} is a PyTorch file that holds {what}; give a state dict of a network"
        )
    plain = {re.sub(_WRAPPERS, "", name): tensor for name, tensor in found.items()}
    return plain if len(plain) == len(found) else found


def _state_dict(content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        return {}
    own = {str(name): value for name, value in content.items() if isinstance(value, np.ndarray)}
    if any(value.ndim > 1 for value in own.values()):
        return own
    return next((each for key in _STATE_DICTS if (each := _state_dict(content.get(key)))), {})


def match_layers(tensors: Mapping[str, np.ndarray], where: str | Path, order: str) -> Match:
    """Find VGG-16's convolutions, and fc6, fc7 and LargeFOV's head where they have that form.

    order: "graph" where tensors come as the network computes, "file" where they come so or as their
    names say, "names" where only names can tell. Batch norm is folded into the filters before it.
    Raises UserError for other networks, and where there are two ways to match.
    """
    hwio = any(t.shape[:3] == (3, 3, 3) != t.shape[1:] for t in tensors.values())
    ways = []
    for key in {"graph": [None], "file": [None, _natural], "names": [_natural]}[order]:
        modules = _modules(tensors, sorted(tensors, key=key) if key else tensors, hwio)
        trunks = _trunks(modules)
        if len(trunks) > 1:
            firsts = few([trunk[0] for trunk in trunks])
            raise UserError(f"{where} holds several VGG-16s, at {firsts}; save one of them alone")
        ways += [(modules, trunk) for trunk in trunks]
    if not ways:
        raise UserError(f"{where} holds no VGG-16: {_misfit(modules, tensors)}")
    modules, trunk = ways[0]
    norms = _norms_of(modules, trunk, where)
    other_modules, other_trunk = ways[-1]
    _check_one_order(trunk, other_trunk, where)
    _check_one_order(norms, [name for name in other_modules if name in norms], where)
    if order == "names":
        _check_numbered(trunk, modules, where)
    for name in trunk + norms:
        _check_numbers(name, modules[name], where)
    layers = {layer: _blobs(modules[name]) for layer, name in zip(TRUNK, trunk, strict=True)}
    notes = []
    if norms:
        epsilon = EPSILONS["Keras" if hwio else "PyTorch"]
        notes.append(f"13 batch norms folded into the filters before them, epsilon {epsilon}")
        for layer, norm in zip(TRUNK, norms, strict=True):
            layers[layer] = _folded(layers[layer], modules[norm], epsilon)
    rest = {n: m for n, m in modules.items() if _is_filters(m) and n not in trunk}
    sources, note = _top(rest, layers, hwio)
    layers |= {layer: _blobs(rest[name]) for layer, name in sources.items()}
    left_out = [name for name in rest if name not in sources.values()]
    return Match(layers, dict(zip(TRUNK, trunk, strict=True)) | sources, left_out, notes + note)


def _modules(tensors: Mapping[str, np.ndarray], names: Iterable[str], hwio: bool) -> Modules:
    """Group tensors by module in the order of `names`; filters of convolutions become OIHW."""
    modules: Modules = {}
    for name in names:
        if found := re.fullmatch(rf"(?s:(.*?))(?:[./]|(?<=_)(?=[WBb]$))(?:{_PART})", name):
            tensor, part = tensors[name], found.lastgroup
            if tensor.ndim == 4 and part == "weight":
                tensor = tensor.transpose(3, 2, 0, 1) if hwio else tensor
                if tensor.shape[:2] == (1, 1) and tensor.shape[2:] != (3, 3):
                    tensor = tensor[0, 0]  # an inner product as Caffe stored it once
            modules.setdefault(found[1], {})[part] = tensor
    return modules


def _is_filters(module: Module) -> bool:
    return module.get("weight", np.zeros(0)).ndim > 1


def _natural(name: str) -> list[int | str]:
    """Order `features.10` behind `features.2`."""
    return [int(part) if n % 2 else part for n, part in enumerate(re.split(r"(\d+)", name))]


def _trunks(modules: Modules) -> list[list[str]]:
    """List each run of thirteen, among the convolutions of 3x3, that has VGG-16's shapes."""
    names = _narrow(modules)
    starts = [n for n in range(len(names)) if _fitting(modules, names[n:]) == len(TRUNK)]
    return [names[n : n + len(TRUNK)] for n in starts]


def _narrow(modules: Modules) -> list[str]:
    weights = {name: module["weight"] for name, module in modules.items() if "weight" in module}
    return [name for name, weight in weights.items() if weight.shape[2:] == (3, 3)]


def _fitting(modules: Modules, names: list[str]) -> int:
    """Count the first names whose filters have VGG-16's shapes."""
    shapes = [modules[name]["weight"].shape for name in names[: len(TRUNK)]]
    wanted = _shapes(shapes[0][0])
    return next((n for n, (a, b) in enumerate(zip(shapes, wanted)) if a != b), len(shapes))  # noqa: B905


def _shapes(width: int) -> list[tuple[int, ...]]:
    """Return the shapes of the thirteen filters, OIHW, where conv1_1 has `width` outputs."""
    outputs = [units * width for units in _TRUNK_UNITS]
    return [(o, i, 3, 3) for o, i in zip(outputs, [3, *outputs], strict=False)]


def _misfit(modules: Modules, tensors: Mapping[str, np.ndarray]) -> str:
    """Say what is not as in VGG-16, where most of it is."""
    for pattern, what in _NOT_PLAIN.items():
        if any(re.search(pattern, name) for name in tensors):
            return f"it has {what}"
    names = _narrow(modules)
    start = max(range(len(names)), key=lambda n: _fitting(modules, names[n:]), default=0)
    count = _fitting(modules, names[start:]) if names else 0
    if len(names) - start <= count:
        return f"it has {len(names)} convolutions of 3x3, of which {count} would fit"
    name, shape = names[start + count], modules[names[start + count]]["weight"].shape
    wanted = _shapes(modules[names[start]]["weight"].shape[0])[count]
    return f"{name} is {_text(shape)}, and {TRUNK[count]} would be {_text(wanted)}"


def _norms_of(modules: Modules, trunk: list[str], where: str | Path) -> list[str]:
    """Return the batch norm of each convolution, by number and size; none where there is none.

    What stands behind a layer of the head, or beside one and no convolution of these, belongs to
    that. Raises UserError for other vectors.
    """
    norms = [name for name, module in modules.items() if "variance" in module]
    wanted = [modules[name]["weight"].shape[0] for name in trunk]
    sizes = [modules[name]["variance"].size for name in norms]
    count = len(trunk)
    runs = [n for n in range(len(norms)) if sizes[n : n + count] == wanted]
    paired = norms[runs[0] : runs[0] + count] if runs else []
    heads = {_parent(n) for n, m in modules.items() if _is_filters(m) and n not in trunk}
    heads -= {_parent(name) for name in trunk}
    stray, in_head = [], False
    for name, module in modules.items():
        if _is_filters(module):
            in_head = name not in trunk
        elif name not in paired and {"weight", "variance"} & set(module):
            stray += [] if in_head or _parent(name) in heads else [name]
    if stray or len(runs) > 1:
        raise UserError(
            f"{where} has {few(stray or norms)} beside its thirteen convolutions: known are "
            "thirteen batch norms of their sizes, or none"
        )
    return paired


def _parent(name: str) -> str:
    return re.sub(r"[./]?[^./]*$", "", name)


def _check_one_order(one: list[str], other: list[str], where: str | Path) -> None:
    """Raise UserError where file and names have two orders and both would do."""
    for name, second in zip(one, other, strict=False):
        if name != second:
            raise UserError(
                f"{where} has layers in two possible orders: {name} is before {second} in the "
                "file, and behind it by name; call them conv1_1 to fc8"
            )


def _check_numbered(trunk: list[str], modules: Modules, where: str | Path) -> None:
    """Raise UserError where two names of one shape are sorted by words, which are in no order."""
    for one, two in itertools.pairwise(trunk):
        same = modules[one]["weight"].shape == modules[two]["weight"].shape
        words = {
            re.sub(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d_]", "", name) for name in (one, two)
        }
        if same and len(words) > 1:
            raise UserError(
                f"{where} sorts its layers by name, so whether {one} comes before {two} is not "
                "known; call them conv1_1 to fc8"
            )


def _check_numbers(name: str, module: Module, where: str | Path) -> None:
    for part, numbers in module.items():
        if numbers.dtype.kind != "f":
            raise UserError(f"{where}: {name} ({part}) holds {numbers.dtype} and not floats")
        if not np.isfinite(numbers).all():
            raise UserError(f"{where}: {name} ({part}) holds numbers that are not finite")


def _folded(blobs: list[np.ndarray], norm: Module, epsilon: float) -> list[np.ndarray]:
    """Fold a batch norm into the filters before it."""
    weight, bias = blobs
    scale = norm.get("weight", 1) / np.sqrt(norm["variance"].astype(np.float64) + epsilon)
    bias = (bias - norm["mean"]) * scale + norm.get("bias", 0)
    return [np.float32(weight * scale.reshape(-1, 1, 1, 1)), np.float32(bias)]


def _top(rest: Modules, layers: Blobs, hwio: bool) -> tuple[dict[str, str], list[str]]:
    """Find fc6, fc7 and LargeFOV's head in other modules, and note why they are not there.

    Filters of fully connected layers become [outputs, inputs], inputs in the order CHW.
    """
    width, channels = len(layers["conv1_1"][0]), len(layers["conv5_3"][0])
    for module in rest.values():
        if module["weight"].ndim == 2 and hwio:
            inputs, outputs = module["weight"].shape
            side = 7 if inputs == 49 * channels else 1
            weight = module["weight"].reshape(side, side, -1, outputs)
            module["weight"] = weight.transpose(3, 2, 0, 1).reshape(outputs, inputs)
    if not rest:
        return {}, ["fc6 and fc7 start afresh: the file ends with conv5_3"]
    for side, units in _TOP_UNITS.items():
        size = units * width
        shapes = {(size, channels, side, side), (size, channels * 49 if side == 7 else 0)}
        fc6 = [name for name, module in rest.items() if module["weight"].shape in shapes]
        pair = {(size, size), (size, size, 1, 1)}
        fc7 = [name for name, module in rest.items() if module["weight"].shape in pair]
        if len(fc6) == len(fc7) == 1:
            break
    else:
        return {}, ["fc6 and fc7 start afresh: what the file has behind conv5_3 is of another form"]
    found = {"fc6": fc6[0], "fc7": fc7[0]}
    if not all(np.isfinite(part).all() for name in found.values() for part in rest[name].values()):
        return {}, [f"fc6 and fc7 start afresh: {MISSING_VALUES}"]
    forms = ((size, 1, 1), (size,))
    heads = [n for n in rest if n not in found.values() and rest[n]["weight"].shape[1:] in forms]
    named = [name for name in heads if re.split("[./]", name)[-1].startswith("fc8")]
    if side == 3 and (len(named) == 1 or (len(heads) == 1 and len(rest) == 3)):
        found["fc8"] = (named or heads)[0]
    return found, []


def _blobs(module: Module) -> list[np.ndarray]:
    weight = module["weight"]
    return [weight, module.get("bias", np.zeros(len(weight), np.float32)).ravel()]


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
