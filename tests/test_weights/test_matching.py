"""VGG-16 found among what other programs store: small tensors by the real programs' names."""

import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.weights.conversion import TRUNK
from deeplab_lfov.weights.matching import match_layers

SIZES = (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8)
FEATURES = [f"features.{n}" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
BLOCKS = [f"block{name[4]}.conv{name[6]}" for name in TRUNK]


def layer(name, *shape, value=0.0):
    tensors = {"weight": np.full(shape, value, np.float32), "bias": np.zeros(shape[0], np.float32)}
    return {f"{name}.{part}": tensor for part, tensor in tensors.items()}


def norm(name, size, value=1.0):
    one = np.ones(size, np.float32)
    parts = {"weight": value * one, "bias": 0 * one, "running_mean": 0 * one, "running_var": one}
    return {f"{name}.{part}": tensor for part, tensor in parts.items()}


def trunk(names=FEATURES):
    """Thirteen convolutions, of which the n-th is full of n."""
    tensors = {}
    for n, (name, size, inputs) in enumerate(zip(names, SIZES, (3, *SIZES), strict=False)):
        tensors |= layer(name, size, inputs, 3, 3, value=float(n))
    return tensors


def norms(*names):
    return {k: v for n, name in enumerate(names) for k, v in norm(name, SIZES[n], n + 1.0).items()}


def tops(*shapes):
    return {k: v for n, s in enumerate(shapes) for k, v in layer(f"classifier.{n}", *s).items()}


@pytest.mark.parametrize(
    ("more", "layers"),
    [
        ({}, []),
        (tops((64, 392), (64, 64), (10, 64)), ["fc6", "fc7"]),
        (tops((64, 8, 7, 7), (64, 64, 1, 1)), ["fc6", "fc7"]),
        (tops((16, 8, 3, 3), (16, 16, 1, 1), (5, 16, 1, 1)), ["fc6", "fc7", "fc8"]),
        (tops((16, 8, 3, 3), (16, 16, 1, 1), (4, 16, 1, 1), (8, 4, 3, 3)), ["fc6", "fc7"]),  # SSD
        (tops((10, 8)), []),  # pooled
        (tops((64, 392), (10, 64)), []),
        (tops((8, 8, 3, 3), (4, 12, 3, 3)), []),  # a decoder
        (layer("lin0.model.1", 1, 8, 1, 1), []),  # LPIPS
        (tops((10, 8)) | norm("classifier.1", 10), []),
    ],
)
@pytest.mark.parametrize("order", ["file", "names"])
def test_the_thirteen_are_taken_whatever_stands_behind(more, layers, order):
    match = match_layers(trunk() | more, "x", order)
    assert list(match.layers) == [*TRUNK, *layers]
    assert [match.layers[name][0].mean() for name in TRUNK] == list(range(13))
    assert ("start afresh" in " ".join(match.notes)) == (not layers)


@pytest.mark.parametrize(
    "arrange",
    [
        lambda convs, bns: convs | bns,
        lambda convs, bns: bns | convs,
        lambda convs, bns: dict(sorted((convs | bns).items())),
        lambda convs, bns: {
            name: tensor
            for block in "12345"
            for each in (convs, bns)
            for name, tensor in each.items()
            if name.startswith(f"block{block}")
        },
    ],
)
def test_norms_are_paired_in_any_order(arrange):
    names = [name.replace("conv", "bn") for name in BLOCKS]
    match = match_layers(arrange(trunk(BLOCKS), norms(*names)), "x", "file")
    for n, name in enumerate(TRUNK):
        np.testing.assert_allclose(match.layers[name][0], n * (n + 1) / np.sqrt(1 + 1e-5))


FIVE = norms(*"abcde")


@pytest.mark.parametrize(
    "extra", [FIVE, norm("a", 3), layer("gn", 8), {"prelu.weight": FIVE["a.weight"]}]
)
def test_other_norms_are_refused(extra):
    with pytest.raises(UserError, match=r"x has \w+.* beside its thirteen convolutions"):
        match_layers(trunk() | extra, "x", "file")


def test_keras_layout_and_epsilon():
    tensors = trunk([f"layers/conv2d_{n}" for n in range(13)])
    tensors = {
        name.replace(".weight", "/0").replace(".bias", "/1"): t.transpose(2, 3, 1, 0)
        if t.ndim == 4
        else t
        for name, t in tensors.items()
    }
    for name, tensor in norms(*(f"layers/batch_normalization_{n}" for n in range(13))).items():
        module, _, part = name.rpartition(".")
        number = ("weight", "bias", "running_mean", "running_var").index(part)
        tensors[f"{module}/{number}"] = tensor
    match = match_layers(tensors | {"layers/dense/0": np.zeros((8, 5), np.float32)}, "x", "names")
    np.testing.assert_allclose(match.layers["conv5_3"][0], 12 * 13 / np.sqrt(1.001), rtol=1e-6)
    assert match.left_out == ["layers/dense"]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (layer("layer1.0", 64, 3, 7, 7), "no VGG-16: it has 0 convolutions of 3x3"),
        (
            trunk() | layer("features.10", 5, 2, 3, 3),
            "features.10 is 5x2x3x3, and conv3_1 would be 4x2x3x3",
        ),
        (trunk() | trunk([f"ema.{name}" for name in FEATURES]), "several VGG-16s, at features.0"),
        (
            {f"{n}.weight_orig": np.zeros((1, 3, 3, 3)) for n in FEATURES},
            "orig is of pruned, ",
        ),
        ({f"{n}.weight_v": np.zeros((1, 3, 3, 3)) for n in FEATURES}, "weight_v is of pruned, "),
        (trunk() | layer("features.5", 2, 1, 3, 3, value=np.nan), r"features.5 .* not finite"),
        (
            trunk() | {"features.5.weight": np.zeros((2, 1, 3, 3), np.int8)},
            r"features.5 \(weight\) holds int8",
        ),
    ],
)
def test_what_is_not_vgg16_is_refused(tensors, words):
    with pytest.raises(UserError, match=words):
        match_layers(tensors, "x", "file")


def test_a_top_of_missing_values_starts_afresh():
    top = tops((64, 392), (64, 64))
    top["classifier.0.weight"][:] = np.nan
    match = match_layers(trunk() | top, "x", "file")
    assert match.lacks_values and list(match.layers) == TRUNK


WORDS = [f"stage{stage}.{n}" for stage in (1, 2) for n in ("one", "two")]
WORDS += [f"stage{stage}.{n}" for stage in (3, 4, 5) for n in ("one", "two", "three")]


def test_layers_whose_order_is_not_known_are_refused():
    """conv4_2 to conv5_3 have one shape: `two` and `three` would be swapped by their names."""
    with pytest.raises(UserError, match="two possible orders: stage3.two is before stage3.three"):
        match_layers(trunk(WORDS), "x", "file")
    with pytest.raises(UserError, match="two possible orders"):
        match_layers(trunk(WORDS), "x", "names")
    assert match_layers(trunk(WORDS), "x", "graph").sources["conv5_3"] == "stage5.three"


@pytest.mark.parametrize("wrapper", ["module._orig_mod.", "_fsdp_wrapped_module."])
def test_names_of_wrappers_are_taken_off(wrapper):
    wrapped = {f"{wrapper}{name}": tensor for name, tensor in trunk().items()}
    assert list(match_layers(wrapped, "x", "file").sources.values()) == FEATURES
    with pytest.raises(UserError, match="several VGG-16s"):
        match_layers(wrapped | trunk(), "x", "file")
