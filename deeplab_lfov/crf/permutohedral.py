"""The permutohedral lattice: Gaussian filtering in many dimensions (Adams, Baek, Davis, 2010).

Points are splatted onto the d + 1 vertices of the simplex around them, the vertices' values are
blurred along the lattice's d + 1 directions, and sliced where the points are.
"""

import numpy as np
from scipy import sparse


class PermutohedralLattice:
    """A lattice under points with features float32 [d, N], in units of the Gaussian's width.

    `weights` is the sparse [N, V] of barycentric weights: its transpose splats, it slices.
    """

    def __init__(self, features: np.ndarray):
        elevated = _elevate(features)
        origins, ranks = _enclosing_simplices(elevated)
        weights = _barycentric_weights(elevated - origins, ranks)
        keys, steps = _vertex_keys(origins.astype(np.int64), ranks)
        vertices, columns = np.unique(keys.T, return_inverse=True)
        rows = np.arange(0, keys.size + 1, len(keys), dtype=np.int32)
        columns = columns.ravel().astype(np.int32)
        shape = (features.shape[1], len(vertices))
        self.weights = sparse.csr_array((weights.T.ravel(), columns, rows), shape)
        self._blurs = [_neighbors(vertices, step) for step in steps]
        self._gain = np.float32(1 / (1 + 0.5 ** len(features)))

    def blur(self, values: np.ndarray) -> np.ndarray:
        """Blur float32 [V, C] -> [V, C] by 1/2, 1, 1/2 along each direction in turn."""
        for neighbors in self._blurs:
            values = neighbors @ values
        return values * self._gain

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Sum all points' values float32 [N, C], weighted by the Gaussian of their distance."""
        return self.weights @ self.blur(self.weights.T @ values)


def _elevate(features: np.ndarray) -> np.ndarray:
    """Move points into the hyperplane of d + 1 coordinates of sum 0: [d, N] -> [d + 1, N].

    Scaled so that the blur is as wide as the features' unit (section 3.1 of the paper).
    """
    d = len(features)
    axis = np.arange(1, d + 1, dtype=np.float32)[:, np.newaxis]
    scaled = features * (np.sqrt(2 / 3, dtype=np.float32) * (d + 1) / np.sqrt(axis * (axis + 1)))
    elevated = np.zeros((d + 1, features.shape[1]), np.float32)
    elevated[:-1] = np.cumsum(scaled[::-1], axis=0)[::-1]
    elevated[1:] -= axis * scaled
    return elevated


def _enclosing_simplices(elevated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the vertex of remainder 0 around each point, and the ranks of its coordinates.

    Both [d + 1, N]; rank 0 has the coordinate that lies farthest above the vertex.
    """
    size = len(elevated)
    rounded = np.rint(elevated / size)
    distances = elevated - rounded * size
    ranks = np.zeros(elevated.shape, np.int8)
    for i in range(size):
        for j in range(i + 1, size):
            below = distances[i] < distances[j]
            ranks[i] += below
            ranks[j] += ~below
    ranks += rounded.sum(axis=0).astype(np.int8)  # a sum other than 0: off the lattice's plane
    wraps, ranks = np.divmod(ranks, size)
    return (rounded - wraps) * size, ranks


def _barycentric_weights(offsets: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Weigh the vertices of each point's simplex, by remainder: float32 [d + 1, N]."""
    by_rank = np.empty_like(offsets)
    np.put_along_axis(by_rank, ranks.astype(np.int64), offsets / np.float32(len(offsets)), axis=0)
    weights = np.empty_like(by_rank)
    weights[0] = 1 + by_rank[-1] - by_rank[0]
    weights[1:] = (by_rank[:-1] - by_rank[1:])[::-1]
    return weights


def _vertex_keys(origins: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the vertices [d + 1, N], and what changes along each direction [d + 1].

    The last coordinate is left out, as it follows from the others. For points so far apart that
    int64 overflows, keys are hashes, as good as never equal: with d = 5 all spans are odd.
    """
    size = len(origins)
    low = origins[:-1].min(axis=1, keepdims=True) - 2 * size
    spans = origins[:-1].max(axis=1) + 2 * size - low[:, 0] + 1
    place_values = np.append(np.cumprod(np.append(1, spans[:-1])), 0)
    by_rank = np.empty_like(origins)
    values = np.broadcast_to(place_values[:, np.newaxis], origins.shape)
    np.put_along_axis(by_rank, ranks.astype(np.int64), values, axis=0)
    keys = np.empty_like(origins)
    keys[0] = place_values[:-1] @ (origins[:-1] - low)
    for remainder in range(size - 1):  # one up in all coordinates, size down in one of them
        keys[remainder + 1] = keys[remainder] + place_values.sum() - size * by_rank[-1 - remainder]
    return keys, place_values.sum() - size * place_values


def _neighbors(vertices: np.ndarray, step: int) -> sparse.csr_array:
    """Make a matrix [V, V]: 1 for each vertex, 1/2 for those neighbors that are there.

    vertices: their keys, ascending. A product with it gathers the neighbors' values.
    """
    size = len(vertices)
    places = np.searchsorted(vertices, vertices + step).clip(max=size - 1)
    here = np.flatnonzero(vertices[places] == vertices + step)
    after = sparse.csr_array(
        (np.full(len(here), 0.5, np.float32), (here, places[here])), [size] * 2
    )
    return (sparse.eye_array(size, dtype=np.float32) + after + after.T).tocsr()
