import numpy as np
import pytest

from deeplab_lfov import Predictor
from deeplab_lfov.transforms import network_input


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (50, 61, 3), np.uint8)


def test_scores_and_labels_are_the_models(reference_model, image):
    predictor = Predictor(reference_model)
    labels, scores = predictor(image), predictor.scores(image)
    assert labels.shape == (50, 61) and labels.dtype == np.uint8
    assert scores.shape == (50, 61, 21) and scores.dtype == np.float32
    np.testing.assert_array_equal(labels, scores.argmax(axis=-1))
    expected = reference_model.preds(network_input(image)[np.newaxis])
    np.testing.assert_array_equal(labels, expected[0, ..., 0])
    cells = reference_model.scores(network_input(image)[np.newaxis])[0]
    np.testing.assert_allclose(scores[::8, ::8], cells[:7, :8], rtol=1e-4, atol=1e-2)
