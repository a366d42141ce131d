"""Far rows, clusters at two scales, and numbers near the ends of float64: the right value or one clear error."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sklearn_ot.metrics import (
    copying,
    energy_distance,
    frechet_distance,
    l2_uvp,
    map_cosine,
    mode_coverage,
    sample_quality,
    sliced_wasserstein_distance,
    wasserstein_distance,
)


def sliced(X, Y, **kwargs):
    return sliced_wasserstein_distance(X, Y, random_state=0, **kwargs)


DISTANCES = {
    "wasserstein": wasserstein_distance,
    "wasserstein 1": lambda X, Y, **kwargs: wasserstein_distance(X, Y, p=1, **kwargs),
    "wasserstein, one feature": lambda X, Y, **kwargs: wasserstein_distance(X[:, :1], Y[:, :1], **kwargs),
    "sliced": sliced,
    "energy": energy_distance,
    "root of frechet": lambda X, Y, **kwargs: frechet_distance(X, Y, **kwargs) ** 0.5,
}
ANY_DISTANCE = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES.keys())


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    return rng.standard_normal((100, 3)), 0.5 + rng.standard_normal((100, 3))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("size", [1e5, 1e7, 1e12, 1e100])
def test_a_pair_of_far_rows_does_not_change_the_distance_of_the_others(seed, size):
    """The issue's example: 200 rows, one pair at 1e7, whose distance was 1.31 where 0.757 is right."""
    rng = np.random.RandomState(seed)
    X, Y = rng.standard_normal((200, 3)), rng.standard_normal((200, 3)) + 0.3
    X[7], Y[11] = size, size
    near_X, near_Y = np.delete(X, 7, axis=0), np.delete(Y, 11, axis=0)
    costs = cdist(near_X, near_Y) ** 2
    expected = np.sqrt(costs[linear_sum_assignment(costs)].sum() / 200)
    assert wasserstein_distance(X, Y) == pytest.approx(expected, rel=1e-9)
    if size <= 1e12:
        assert wasserstein_distance(X.astype(np.float32), Y.astype(np.float32)) == pytest.approx(expected, rel=1e-6)
    # The parts of the other distances that belong to the near rows.
    line = np.mean(np.abs(np.sort(near_X[:, 0]) - np.sort(near_Y[:, 0])) ** 2) * 199 / 200
    assert wasserstein_distance(X[:, :1], Y[:, :1]) == pytest.approx(line**0.5, rel=1e-9)
    assert energy_distance(X, Y) == pytest.approx(energy_distance(near_X, near_Y) * (199 / 200) ** 2, rel=1e-9)


@pytest.mark.parametrize("size", [1e7, 1e12])
@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
# With the last two seeds, rounding errors of the plan are large shares of light rows.
@pytest.mark.parametrize("seed", [0, 13, 26])
def test_clusters_at_two_scales(n_features, size, weighted, seed):
    """Numbers of rows whose weights 1/80 and 1/120 have no exact sums."""
    rng = np.random.RandomState(seed)
    # Multiples of a power of two stay exact when the clusters move.
    X, Y = (np.round(2**10 * rng.standard_normal((n, n_features))) / 2**10 for n in (80, 120))
    weight = rng.uniform(size=(2, 120)) if weighted else np.ones((2, 120))
    x_weight, y_weight = weight[0, :80], weight[1]
    # Each cluster has the same share of both samples.
    for part, n in ((x_weight, 40), (y_weight, 60)):
        part[:n] /= part[:n].sum()
        part[n:] /= part[n:].sum()
    parts = [
        wasserstein_distance(X[x], Y[y], sample_weight=x_weight[x], target_weight=y_weight[y])
        for x, y in ((slice(0, 40), slice(0, 60)), (slice(40, None), slice(60, None)))
    ]
    sliced_parts = [sliced(X[:40], Y[:60]), sliced(X[40:], Y[60:])]
    X[40:] += size
    Y[60:] += size
    # A projection of the far rows is rounded to 1e-16 of their distance.
    assert sliced(X, Y) == pytest.approx(np.sqrt(np.mean(np.square(sliced_parts))), rel=1e-14 * size)
    whole = wasserstein_distance(X, Y, sample_weight=x_weight, target_weight=y_weight)
    assert whole == pytest.approx(np.sqrt(np.mean(np.square(parts))), rel=1e-9)
    if not weighted:
        assert wasserstein_distance(X, Y) == pytest.approx(whole, rel=1e-9)


def test_distances_within_clusters_keep_their_digits():
    """The expansion of |x - y|² had errors of 0.1 in clusters that are 1e7 apart."""
    rng = np.random.RandomState(0)
    X, Y = rng.standard_normal((60, 2)), 2 + rng.standard_normal((60, 2))
    two_X, two_Y = (np.vstack([rows, rows + np.array([2.0**24, 0])]) for rows in (X, Y))
    assert sample_quality(two_X, two_Y, n_neighbors=3) == pytest.approx(sample_quality(X, Y, n_neighbors=3))
    # Distances L between clusters cancel, up to their second derivative 1 / L.
    assert energy_distance(two_X, two_Y) == pytest.approx(energy_distance(X, Y) / 2, rel=1e-5)
    rows = 1e-2 * rng.standard_normal((1000, 2))
    one = mode_coverage(rows, [[0.0, 0.0]], 1e-2)
    two = mode_coverage(np.vstack([rows, rows + np.array([2.0**24, 0])]), [[0.0, 0.0], [2.0**24, 0.0]], 1e-2)
    assert (two.n_modes, two.reverse_kl) == (2, 0)
    assert two.high_quality == pytest.approx(one.high_quality, abs=1e-3)


@ANY_DISTANCE
@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-540, 2.0**540, 2.0**1000])
def test_any_size_of_numbers_is_right_or_an_error(distance, samples, scale):
    X, Y = samples
    with np.errstate(all="raise"):
        if distance is DISTANCES["root of frechet"] and scale > 1:
            with pytest.raises(ValueError, match="too large for float64"):
                distance(scale * X, scale * Y)
            return
        scaled = distance(scale * X, scale * Y)
    # A squared distance below 1e-308 is 0.
    expected = 0 if distance is DISTANCES["root of frechet"] else scale * distance(X, Y)
    assert scaled == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-540, 2.0**540, 2.0**1000])
def test_numbers_without_units_are_the_same_for_any_size(samples, scale):
    X, Y = samples
    Z = X + 0.1 * Y
    with np.errstate(all="raise"):
        assert l2_uvp(scale * Z, scale * X) == pytest.approx(l2_uvp(Z, X), rel=1e-12)
        assert map_cosine(scale * X, scale * Y, scale * Z) == pytest.approx(map_cosine(X, Y, Z), rel=1e-12)
        assert mode_coverage(scale * X, scale * Y[:5], scale) == mode_coverage(X, Y[:5], 1.0)
        assert sample_quality(scale * X, scale * Y) == sample_quality(X, Y)
        assert copying(scale * X, scale * Y, scale * Z)[:2] == copying(X, Y, Z)[:2]


def test_one_huge_cell(samples):
    X, Y = samples
    X[3, 1] = 1e200
    with np.errstate(all="raise"):
        # The row is sent somewhere, 1e200 away, and its share is 1/100.
        assert wasserstein_distance(X, Y) == pytest.approx(1e199, rel=1e-6)
        assert wasserstein_distance(X, Y, p=1) == pytest.approx(1e198, rel=1e-6)
        assert energy_distance(X, Y) == pytest.approx(2e198 - 2 * 99e196, rel=1e-6)
        with pytest.raises(ValueError, match="too large for float64"):
            frechet_distance(X, Y)
        others = np.arange(100) != 3
        assert sample_quality(X, Y).precision == pytest.approx(sample_quality(X[others], Y).precision * 0.99)
        assert mode_coverage(X, Y[:1], 10.0).high_quality == 0.99
        assert 0.4 < copying(X, Y, samples[0]).nearer < 0.6
        with pytest.raises(ValueError, match="too large for float64"):
            l2_uvp(X, Y)
    Y[5] = X[3]
    # The squares of the other distances are too small beside 1e400, and nothing needs to move the pair.
    with pytest.raises(ValueError, match="differ too much for float64"):
        wasserstein_distance(X, Y)


def test_large_orders():
    X, Y = np.array([[0.0, 0.0], [8.0, 8.0]]), np.array([[1.0, 0.0], [8.0, 8.0]])
    assert wasserstein_distance(X, Y, p=50) == pytest.approx(2 ** (-1 / 50), rel=1e-12)
    assert wasserstein_distance(X[:, :1], Y[:, :1], p=1000) == pytest.approx(2 ** (-1 / 1000), rel=1e-12)
    # (1 / 16)^1000 is 0 in float64.
    with pytest.raises(ValueError, match=r"order p=1000 .* differ too much for float64"):
        wasserstein_distance(X, Y, p=1000)


def test_frechet_distance_with_a_far_pair():
    """Rows in opposite pairs, one pair far away on an axis of its own: the covariances fall into two blocks."""
    rng = np.random.RandomState(0)
    rows, far = rng.standard_normal((50, 2)), np.array([[0.0, 0.0, 1e6], [0.0, 0.0, -1e6]])
    near = np.vstack([rows, -rows])

    def with_pair(plane, scale):
        return np.vstack([np.pad(plane, ((0, 0), (0, 1))), scale * far])

    X, Y = with_pair(near, 1), with_pair(2 * near, 1)
    expected = np.sum(near**2) / 101  # (2 - 1)² times the trace of the covariance
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-6)


def test_projections_of_rows_with_a_far_origin_keep_their_digits():
    X, Y = np.round(np.random.RandomState(0).randn(2, 40, 3) * 2**10) / 2**10
    # All sums are exact.
    assert sliced(X + 2.0**40, Y + 2.0**40) == pytest.approx(sliced(X, Y), rel=1e-12)


def test_rounding_errors_of_weights_move_nothing_far():
    rng = np.random.RandomState(0)
    X, weight = np.linspace(0, 1e12, 50)[:, None], rng.rand(50)
    assert wasserstein_distance(X, X, sample_weight=weight, target_weight=weight * 7 / 3) == 0
