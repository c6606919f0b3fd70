import re

import numpy as np
import pytest
from PIL import Image

from deeplab_lfov.crf import mean_field as module
from deeplab_lfov.crf.dense_crf import DenseCRF
from deeplab_lfov.errors import UserError
from helpers import DATA


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def blobs(height, width, num_classes, seed=0):
    """A picture of smooth colors and noisy probabilities that go with it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
    image = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    scores = image[..., :1] / 255 * np.linspace(-3, 3, num_classes)
    return image, softmax(scores + rng.normal(size=(height, width, num_classes)))


def test_without_weights_nothing_changes():
    image, probabilities = blobs(20, 30, 4)
    refined = DenseCRF(bi_w=0, pos_w=0)(image, probabilities)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, probabilities, atol=1e-6)
    np.testing.assert_allclose(
        DenseCRF(num_iterations=0)(image, probabilities), probabilities, atol=1e-6
    )


def test_a_lone_pixel_follows_its_neighbors_of_the_same_color():
    image = np.full((21, 21, 3), 90, np.uint8)
    probabilities = np.broadcast_to(np.float32([0.7, 0.3]), (21, 21, 2)).copy()
    probabilities[10, 10] = [0.3, 0.7]
    assert (DenseCRF()(image, probabilities).argmax(axis=-1) == 0).all()


def test_labels_stop_at_an_edge_of_colors():
    """Uncertain pixels on both sides take the label of their own color, not of the nearest."""
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 12:] = 200
    probabilities = np.full((20, 20, 2), 0.5, np.float32)
    probabilities[:, :3], probabilities[:, -3:] = [0.9, 0.1], [0.1, 0.9]
    refined = DenseCRF()(image, probabilities).argmax(axis=-1)
    np.testing.assert_array_equal(refined, np.arange(20) >= np.full((20, 1), 12))


def test_one_update_by_hand():
    """Two pixels far apart in every feature send messages only to themselves.

    Normalized, a pixel's message is its own probability times the weights: logits log(q) + 7 q.
    """
    image = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    probabilities = np.float32([[[0.6, 0.4], [0.2, 0.8]]])
    crf = DenseCRF(
        num_iterations=1, bi_w=4, bi_xy_std=0.01, bi_rgb_std=0.5, pos_w=3, pos_xy_std=0.01
    )
    expected = softmax(np.log(probabilities) + 7 * probabilities)
    np.testing.assert_allclose(crf(image, probabilities), expected, rtol=1e-4)


def test_refined_probabilities_sum_to_one():
    image, probabilities = blobs(30, 41, 21)
    probabilities[:10, :, 3] = 0  # a label that is impossible
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    refined = DenseCRF()(image, probabilities)
    assert refined.min() >= 0
    np.testing.assert_allclose(refined.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (3, 2)])
def test_tiny_pictures(size):
    image, probabilities = blobs(*size, 3)
    refined = DenseCRF()(image, probabilities)
    assert refined.shape == (*size, 3) and np.isfinite(refined).all()


def test_labels_that_cannot_win_change_nothing_when_left_out(monkeypatch):
    image, probabilities = blobs(50, 60, 6)
    probabilities[..., [1, 4]] = 2e-5
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    with_out = DenseCRF()(image, probabilities)
    kept = []
    can_win = module._can_win
    monkeypatch.setattr(
        module, "_can_win", lambda *args: kept.append(can_win(*args)) or kept[0] >= 0
    )
    with_all = DenseCRF()(image, probabilities)
    assert kept[0].tolist() == [True, False, True, True, False, True]
    np.testing.assert_array_equal(with_out.argmax(axis=-1), with_all.argmax(axis=-1))
    np.testing.assert_allclose(with_out, with_all, atol=2e-3)


def test_what_pydensecrf2_gave():
    """Image, probabilities and the output of pydensecrf2 1.1 at the defaults, as recorded."""
    with np.load(DATA / "pydensecrf2.npz") as recorded:
        refined = DenseCRF()(recorded["image"], recorded["probabilities"])
        np.testing.assert_allclose(refined, recorded["refined"], atol=1e-4)


@pytest.mark.parametrize(("num_classes", "seed"), [(2, 1), (21, 2)])
def test_agrees_with_pydensecrf2(num_classes, seed):
    pytest.importorskip("pydensecrf")
    from util.benchmark import pydensecrf2

    image, probabilities = blobs(120, 161, num_classes, seed)
    theirs, ours = pydensecrf2(image, probabilities), DenseCRF()(image, probabilities)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert (ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean() >= 0.9999


@pytest.mark.parametrize("wrong", [-1, 1e7, float("nan"), float("inf")])
@pytest.mark.parametrize("name", vars(DenseCRF()))
def test_parameters_that_make_no_sense_are_refused(name, wrong):
    with pytest.raises(UserError, match=name):
        DenseCRF(**{name: wrong})


@pytest.mark.parametrize("name", ["bi_xy_std", "bi_rgb_std", "pos_xy_std"])
def test_widths_that_are_hardly_any_are_refused(name):
    with pytest.raises(UserError, match=f"{name} must be a number from 0.01 to 1000000"):
        DenseCRF(**{name: 0.009})


@pytest.mark.parametrize(
    ("size", "xy", "rgb", "weight"),
    [
        ((120, 160), 0.01, 0.01, 1e6),
        ((60, 80), 0.01, 1e6, 1e6),
        ((60, 80), 1e6, 0.01, 1e6),
        ((60, 80), 1e6, 1e6, 1e6),
        ((60, 80), 0.01, 0.01, 0),
    ],
)
def test_the_limits_give_probabilities(size, xy, rgb, weight):
    """Of random colors, black and white: vertices as far apart as may be, and numbers as large."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    image[0, 0], image[-1, -1] = 0, 255
    probabilities = softmax(rng.normal(size=(*size, 2)))
    refined = DenseCRF(
        num_iterations=2, bi_w=weight, bi_xy_std=xy, bi_rgb_std=rgb, pos_w=weight, pos_xy_std=xy
    )(image, probabilities)
    assert refined.min() >= 0
    np.testing.assert_allclose(refined.sum(axis=-1), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda image, probabilities: (image, probabilities[..., :1]), "two classes"),
        (lambda image, probabilities: (image[1:], probabilities), "[H, W, C]"),
        (lambda image, probabilities: (image, probabilities.transpose(2, 0, 1)), "[H, W, C]"),
        (lambda image, probabilities: (probabilities, image), "uint8 RGB [H, W, 3]"),
        (lambda image, probabilities: (image / 255, probabilities), "uint8 RGB"),
        (lambda image, probabilities: (image, probabilities * 2), "sum to 1"),
        (lambda image, probabilities: (image, np.log(probabilities)), "from 0 to 1"),
        (lambda image, probabilities: (image, probabilities * np.nan), "sum to 1"),
    ],
)
def test_arguments_of_other_kinds_are_refused(change, word):
    with pytest.raises(ValueError, match=re.escape(word)):
        DenseCRF()(*change(*blobs(5, 6, 2)))


def test_a_picture_of_pillows_and_half_precision_are_as_good():
    image, probabilities = blobs(5, 6, 2)
    half = probabilities.astype(np.float16)
    refined = DenseCRF()(Image.fromarray(image), half)
    np.testing.assert_array_equal(refined, DenseCRF()(image, half.astype(np.float32)))


def test_a_crf_writes_its_flags():
    crf = DenseCRF(num_iterations=12345, bi_xy_std=121 / 3, pos_xy_std=2.0)
    text = "--crf --crf_iterations 12345 --bi_w 4 --bi_xy_std 40.3333333 --pos_xy_std 2"
    assert crf.as_flags(always=("bi_w",)) == text
