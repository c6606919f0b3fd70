import numpy as np
import pytest

from deeplab_lfov import UserError
from deeplab_lfov.classes import Classes
from deeplab_lfov.data.image_files import image_size
from deeplab_lfov.evaluation.threshold_curve import THRESHOLDS, ThresholdCurve

CLASSES = Classes(("good", "a scratch", "dent"))


@pytest.fixture
def curve(tmp_path):
    return ThresholdCurve("a scratch", CLASSES, tmp_path)


def probabilities_of(scratch):
    scratch = np.float32(scratch)
    return np.stack([(1 - scratch) / 2, scratch, (1 - scratch) / 2], axis=-1)


def test_numbers_by_hand(curve, tmp_path):
    """Pixels at the threshold itself are of the class; void ones do not count."""
    truth = np.uint8([[1, 1, 0, 2, 255], [1, 0, 0, 1, 255]])
    scratch = np.float32([[0.9, 0.3, 0.3, 0.1, 1], [0.7, 0.8, 0, 0.05, 0]])
    for row in (0, 1):
        curve.add(truth[row : row + 1], probabilities_of(scratch[row : row + 1]))
    at = np.searchsorted(THRESHOLDS, [0, 0.3, 0.301, 0.9, 0.901])
    numbers = {name: values[at] for name, values in curve.numbers().items()}
    nan = np.nan
    np.testing.assert_allclose(numbers["precision"], [4 / 8, 3 / 5, 2 / 3, 1, nan])
    np.testing.assert_allclose(numbers["recall"], [1, 3 / 4, 2 / 4, 1 / 4, 0])
    np.testing.assert_allclose(numbers["F1"], [8 / 12, 6 / 9, 4 / 7, 2 / 5, 0])
    np.testing.assert_allclose(numbers["IoU"], [4 / 8, 3 / 6, 2 / 5, 1 / 4, 0])
    assert curve.best == 0.025  # all from 0.000001 to 0.05 take 4 of 7; the middle of them
    assert "0.025        57.14%   100.00%    72.73%    57.14%  best F1" in str(curve)
    assert "--threshold 'a scratch=0.025'" in str(curve) and len(str(curve).split("\n")) == 24
    told = curve.as_dict()
    assert (
        told["best"] == 0.025
        and len(told["F1"]) == len(told["threshold"])
        and told["precision"][-1] is None
    )
    assert curve.draw() == tmp_path / "threshold_a_scratch.png"
    assert image_size(curve.draw()) == (500, 800)


def test_numbers_are_those_of_scikit_learn(curve):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, (60, 50)).astype(np.uint8)
    scratch = np.float32(rng.beta(1, 3, truth.shape) * 0.6 + 0.4 * (truth == 1))
    scratch[::7] = np.round(scratch[::7], 2)  # on thresholds
    curve.add(truth, probabilities_of(scratch))
    found = curve.numbers()
    for n in range(0, THRESHOLDS.size, 25):
        pair = (truth == 1).ravel(), scratch.ravel() >= np.float32(THRESHOLDS[n])
        for name, score in (("precision", "precision"), ("F1", "f1"), ("IoU", "jaccard")):
            expected = getattr(metrics, f"{score}_score")(*pair, zero_division=0)
            assert np.nan_to_num(found[name][n]) == pytest.approx(expected)
        assert found["recall"][n] == pytest.approx(metrics.recall_score(*pair))
    right, wanted, at = metrics.precision_recall_curve((truth == 1).ravel(), scratch.ravel())
    f1 = 2 * right * wanted / np.maximum(right + wanted, 1e-9)
    assert found["F1"].max() == pytest.approx(f1.max(), abs=0.002)
    assert abs(curve.best - at[f1.argmax()]) < 0.02


def test_of_equally_good_thresholds_the_middle_one_is_taken(curve):
    curve.add(np.uint8([[1, 0]]), probabilities_of([[0.9, 0.1]]))
    assert curve.best == pytest.approx(0.5, abs=0.0011)


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="no class 'scratch'; the classes are good, a scratch, dent"
    ):
        ThresholdCurve("scratch", CLASSES, tmp_path)
    (tmp_path / "threshold_dent.png").write_text("mine")
    with pytest.raises(UserError, match="is no output of this program"):
        ThresholdCurve("dent", CLASSES, tmp_path)
