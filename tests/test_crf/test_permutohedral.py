import numpy as np
import pytest

from deeplab_lfov.crf.permutohedral import PermutohedralLattice


def features(dimensions, number=300):
    return np.random.default_rng(dimensions).normal(0, 2, (dimensions, number)).astype(np.float32)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_a_lone_point_keeps_its_value_but_for_the_gain(dimensions):
    """At the origin it is a vertex itself, and splat and slice are 1.

    The d + 1 blurs leave it 1, and bring half of a half ... around the simplex back to it.
    """
    lattice = PermutohedralLattice(np.zeros((dimensions, 1), np.float32))
    value = lattice.filter(np.ones((1, 1), np.float32))
    expected = (1 + 0.5 ** (dimensions + 1)) / (1 + 0.5**dimensions)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_points_are_spread_over_the_vertices_of_one_simplex(dimensions):
    weights = PermutohedralLattice(features(dimensions)).weights
    assert np.diff(weights.indptr).tolist() == [dimensions + 1] * 300
    assert weights.data.min() > -1e-5
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_filtering_is_close_to_the_gaussian(dimensions):
    points = features(dimensions, 500)
    values = np.stack([np.ones(500), np.sin(points[0])], axis=1).astype(np.float32)
    squares = ((points[:, :, np.newaxis] - points[:, np.newaxis]) ** 2).sum(axis=0)
    exact = np.exp(-squares / 2) @ values
    found = PermutohedralLattice(points).filter(values)
    correlation = np.corrcoef(found[:, 1] / found[:, 0], exact[:, 1] / exact[:, 0])[0, 1]
    assert correlation > 0.99


def test_points_far_apart_share_no_vertex():
    """Though the spans of their coordinates multiply to more than int64 holds."""
    far = PermutohedralLattice(features(5, 10_000) * np.float32(1e5))
    assert far.weights.shape[1] == 6 * 10_000
    np.testing.assert_allclose(far.weights.sum(axis=1), 1, atol=1e-5)


def test_points_beyond_the_digits_of_float32_have_a_simplex_too():
    far = PermutohedralLattice(features(5, 10_000) * np.float32(1e8))
    np.testing.assert_allclose(far.weights.sum(axis=1), 1, atol=1e-3)


def test_filtering_is_linear_and_symmetric_but_for_the_order_of_the_blurs():
    lattice = PermutohedralLattice(features(2))
    one, other = np.random.default_rng(0).normal(size=(2, 300, 1)).astype(np.float32)
    both = lattice.filter(one + 2 * other)
    np.testing.assert_allclose(both, lattice.filter(one) + 2 * lattice.filter(other), atol=1e-3)
    there, back = other.T @ lattice.filter(one), one.T @ lattice.filter(other)
    np.testing.assert_allclose(there, back, rtol=0.02)
