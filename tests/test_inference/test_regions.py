import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov import Predictor, UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.inference.regions import Verdict, verdicts, without_small_regions
from deeplab_lfov.inference.segmentation import Segmentation, View

LABELS = np.uint8([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 255], [1, 0, 2, 2]])


def test_a_verdict_by_hand():
    """Pixels that touch by a corner are of one region; bands may end within one."""
    probabilities = np.zeros((4, 4, 3), np.float32)
    probabilities[0, 0, 1], probabilities[1, 1, 1], probabilities[3, 2:, 2] = 0.5, 0.75, (0.25, 1)
    bands = [(slice(0, 1), probabilities[:1]), (slice(1, 4), probabilities[1:])]
    found = verdicts(LABELS, bands)
    assert found[1] == Verdict(3 / 16, 2, 2, 0.625) and found[2] == Verdict(3 / 16, 2, 2, 0.625)
    assert list(found) == [0, 1, 2] and found[0][:3] == (9 / 16, 1, 9)
    assert verdicts(LABELS)[1] == Verdict(3 / 16, 2, 2, None)
    assert verdicts(np.full((2, 2), 255, np.uint8), bands[:0]) == {}


def test_small_regions_take_the_nearest_labels_and_void_stays():
    expected = np.uint8([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 255], [0, 0, 2, 2]])
    np.testing.assert_array_equal(without_small_regions(LABELS, 2), expected)
    expected[expected == 1], expected[3, 2:] = 0, (0, 255)  # as near to void as to 0
    found = without_small_regions(LABELS, 3)
    assert (found[:3] == expected[:3]).all() and found[3, 2] == 0 and found[2, 3] == 255
    np.testing.assert_array_equal(without_small_regions(LABELS, 1), LABELS)
    small = np.uint8([[0, 1]])
    np.testing.assert_array_equal(without_small_regions(small, 5), small)


@pytest.mark.parametrize("refined", [False, True])
def test_a_threshold_is_for_one_class_and_the_rest_is_as_probable(refined):
    probabilities = np.float32([[[0.3, 0.3, 0.4], [0.5, 0.2, 0.3], [0.25, 0.15, 0.6]]])
    image, grid = np.zeros((1, 3, 3), np.uint8), tf.zeros([1, 1, 3])
    views = [View()]
    if not refined:  # a pixel for each cell
        image, grid = np.zeros((1, 17, 3), np.uint8), tf.constant(np.log(probabilities))
    rest = views, [grid], (lambda *_: probabilities) if refined else None
    for threshold, expected in {
        (2, 0.29): [2, 2, 2],
        (2, 0.35): [2, 0, 2],
        (2, 0.5): [0, 0, 2],
        (2, 1.0): [0, 0, 0],
        (0, 0.0): [0, 0, 0],
        (1, 0.14): [1, 1, 1],
    }.items():
        labels = Segmentation(image, *rest, threshold).labels()[0, :: 1 if refined else 8]
        assert labels.tolist() == expected and labels.dtype == np.uint8
    if refined:  # by the network's scores it is a matter of rounding
        assert Segmentation(image, *rest, (2, 0.3)).labels().tolist() == [[2, 2, 2]]
    one = Segmentation(image, *rest, (2, 0.25))
    assert one.labels(0.35)[0, :: 1 if refined else 8].tolist() == [2, 255, 2]


def test_a_predictor_has_them(reference_model):
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    plain = Predictor(reference_model)
    person = plain.probabilities(image)[..., 15]
    least = float(np.quantile(person, 0.4))
    predictor = Predictor(reference_model, threshold=("person", least), min_region=30)
    expected = plain(image)
    others = np.delete(plain.probabilities(image), 15, axis=-1).argmax(axis=-1)
    expected = np.where(person >= np.float32(least), 15, others + (others >= 15)).astype(np.uint8)
    np.testing.assert_array_equal(predictor(image), without_small_regions(expected, 30))
    assert str(predictor) == f"person from {least:g} on; regions from 30 pixels on"
    predictor.classes = Classes(("a",) * 21)
    with pytest.raises(UserError, match="no class 'person'; the classes are a, a"):
        predictor(image)
    with pytest.raises(UserError, match="threshold must be a class and a probability"):
        Predictor(reference_model, threshold=0.3)
