import numpy as np
import pytest
import tensorflow as tf

from deeplab_lfov.errors import UserError
from deeplab_lfov.inference import segmentation
from deeplab_lfov.inference.segmentation import Segmentation, View


def pixels(grid, view, height, width):
    """What a view's grid [h, w] becomes on a picture's pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    scores = tf.constant(grid[..., np.newaxis], tf.float32)
    return Segmentation(image, [view], [scores]).scores()[..., 0]


def test_between_cells_scores_are_linear():
    grid = np.array([[0.0, 8.0], [16.0, 24.0]])
    expected = np.arange(9)[:, np.newaxis] * 2 + np.arange(9)
    np.testing.assert_allclose(pixels(grid, View(), 9, 9), expected)


@pytest.mark.parametrize("view", [View(), View(1, True), View(0.5), View(1.7), View(2, True)])
def test_a_view_puts_every_pixel_back_in_its_place(view):
    """A network that copies every 8th pixel gets the picture's own slopes back, but at borders."""
    rows, columns = np.mgrid[:90, :101]
    image = np.stack([rows + columns] * 3, axis=-1).astype(np.uint8)
    seen = view.picture(image)[..., 0].astype(float)
    padded = np.pad(seen, [(0, 8), (0, 8)], mode="edge")
    back = pixels(padded[::8, ::8], view, 90, 101)
    inside = np.s_[8:-16, 16:-16]
    assert np.abs(back - image[..., 0])[inside].max() <= 1


def test_views_average_probabilities_not_scores():
    image = np.zeros((1, 1, 3), np.uint8)
    grids = [tf.constant([[[np.log(0.9), np.log(0.1)]]], tf.float32), tf.zeros([1, 1, 2]) + 5]
    both = Segmentation(image, [View(), View()], grids)
    np.testing.assert_allclose(both.probabilities(), [[[0.7, 0.3]]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(both.scores()), [[[0.7, 0.3]]], rtol=1e-6)
    assert both.labels() == 0


def test_labels_below_the_confidence_are_void_those_at_it_are_kept():
    probabilities = np.array([[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]], np.float32)
    image = np.zeros((1, 3, 3), np.uint8)
    refined = Segmentation(image, [View()], [tf.zeros([1, 1, 2])], lambda *_: probabilities)
    equal = Segmentation(image, [View()], [tf.zeros([1, 1, 2])])
    both = Segmentation(image, [View(), View(1, True)], [tf.zeros([1, 1, 2])] * 2)
    for share, labels, kept in ((0, [0, 0, 1], 0), (0.5, [0, 0, 1], 0), (0.51, [255, 0, 1], 255)):
        assert refined.labels(share).tolist() == [labels]
        assert (equal.labels(share) == kept).all() and (both.labels(share) == kept).all()
    assert refined.labels(0.8).tolist() == [[255, 0, 1]]
    assert refined.labels(0.9).tolist() == [[255, 0, 255]]
    assert refined.labels(1.0).tolist() == [[255] * 3] and refined.labels().tolist() == [[0, 0, 1]]


def test_bands_are_the_whole_from_top_to_bottom():
    image = np.zeros((700, 500, 3), np.uint8)
    grid = tf.random.stateless_normal([89, 64, 3], [0, 1])
    segmentation = Segmentation(image, [View()], [grid])
    bands = list(segmentation.score_bands())
    assert len(bands) == 2 and max(map(len, bands)) * 500 <= 2**18
    np.testing.assert_array_equal(np.concatenate(bands), segmentation.scores())


@pytest.mark.parametrize("result", ["labels", "probabilities", "scores"])
def test_a_gpu_may_run_out_of_memory_for_pixels_too(monkeypatch, result):
    def interpolate(*_):
        raise tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory")

    monkeypatch.setattr(segmentation, "interpolate", interpolate)
    one = Segmentation(np.zeros((9, 17, 3), np.uint8), [View()], [np.zeros((2, 3, 3))])
    with pytest.raises(UserError, match="out of memory for a picture of 9 x 17 pixels; .*--tile"):
        getattr(one, result)()
