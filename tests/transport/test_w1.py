"""W1Transport: closed forms, units, weights, bounds, far rows, and errors."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.stats import norm, wasserstein_distance

from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.transport import W1Transport

N = 5000


def correlated(seed, n=N):
    return np.random.RandomState(seed).randn(n, 2) @ [[2.0, 0.0], [1.5, 0.5]]


SHIFT = np.array([3.0, 1.0])


@pytest.fixture(scope="module")
def shifted():
    return W1Transport().fit(correlated(0), correlated(1) + SHIFT)


def test_one_feature_is_that_of_quantiles():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(500, 1), rng.exponential(size=(300, 1))
    w, v = rng.rand(500), rng.randint(0, 5, 300)
    transport = W1Transport().fit(X, Y, sample_weight=w, target_weight=v)
    exact = wasserstein_distance(X[:, 0], Y[:, 0], w, v)
    assert transport.distance_ == pytest.approx(exact)
    low, high = transport.distance_interval_
    assert low < exact < high
    plain = W1Transport().fit(X, Y)
    np.testing.assert_allclose(np.median(plain.transform(X)), np.median(Y), atol=0.01)
    # Beyond the first and last numbers of the target there is no image.
    inner = np.abs(X[:, 0]) < 2
    np.testing.assert_allclose(plain.inverse_transform(plain.transform(X))[inner], X[inner])
    assert plain.ray_efficiency_ == pytest.approx(1, abs=1e-3)


def test_translation_of_a_correlated_gaussian(shifted):
    size = np.linalg.norm(SHIFT)
    # The distance between the rows is that of their means, which is off by 3 % here.
    means = correlated(1).mean(axis=0) + SHIFT - correlated(0).mean(axis=0)
    assert shifted.distance_ == pytest.approx(np.linalg.norm(means), rel=0.01)
    low, high = shifted.distance_interval_
    assert 0.9 * size < low < size < high < 1.1 * size
    X = correlated(2, 1000)
    assert shifted.ray_efficiency_ == pytest.approx(1, abs=0.02)
    fall = shifted.potential(X) - shifted.potential(X + SHIFT)
    assert np.quantile(np.abs(fall) / size, 0.99) <= 1.03
    assert np.mean(fall) == pytest.approx(size, rel=0.02)
    # Along the shift rows may be moved in many ways, but not across it.
    across = (shifted.transform(X) - X) @ np.array([-SHIFT[1], SHIFT[0]]) / size
    assert np.sqrt(np.mean(across**2)) < 0.1 * size


def test_the_map_fits_the_target_and_has_an_inverse():
    rng = np.random.RandomState(0)
    X, Y, fresh = rng.randn(N, 2), *(0.4 * rng.randn(N, 2) + rng.choice([-2, 2], (N, 2)) for _ in range(2))
    transport = W1Transport(confidence=None).fit(X, Y)
    assert transport.distance_interval_ is None
    new = rng.randn(2000, 2)
    images, preimages = transport.transform(new), transport.inverse_transform(fresh)
    before = sliced_wasserstein_distance(new, fresh, random_state=0)
    assert sliced_wasserstein_distance(images, fresh, random_state=0) < 0.15 * before
    assert sliced_wasserstein_distance(preimages, new, random_state=0) < 0.15 * before
    assert 0.95 < transport.ray_efficiency_ < 1.02
    # Rows are moved no farther than the distance says.
    assert np.linalg.norm(images - new, axis=1).mean() == pytest.approx(transport.distance_, rel=0.1)


def test_ray_efficiency_sees_directions_and_not_distances(shifted):
    transport = pickle.loads(pickle.dumps(shifted))
    X = correlated(3, 500)

    def efficiency(images):
        fall = transport.potential(X) - transport.potential(images)
        return fall.sum() / np.linalg.norm(images - X, axis=1).sum()

    assert efficiency(X + 0.3 * SHIFT) == pytest.approx(efficiency(X + SHIFT), abs=0.03)
    assert efficiency(X + SHIFT @ [[0.0, 1.0], [-1.0, 0.0]]) < 0.5


def test_interval_contains_the_distance_of_a_closed_form():
    """The distance between a disc and the same disc, shrunk by a half, is that of the radii: 2/3 of the radius / 2."""
    rng = np.random.RandomState(0)

    def disc(n):
        angle, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.rand(n))
        return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])

    X, Y = disc(10_000), 0.5 * disc(10_000)
    transport = W1Transport().fit(X, Y)
    assert transport.distance_ == pytest.approx(1 / 3, rel=0.02)
    low, high = transport.distance_interval_
    assert 0.8 / 3 < low < 1 / 3 < high < 1.3 / 3
    wider = W1Transport(confidence=0.999).fit(X, Y).distance_interval_
    assert wider[0] < low
    assert wider[1] > high


def test_each_bound_has_half_of_the_error_probability():
    """Bounds differ by quantiles of the normal distribution, up to the skewness of the rows."""
    levels = (0.5, 0.9, 0.99)
    X, Y = correlated(0), correlated(1) + SHIFT
    bounds = np.array([W1Transport(confidence=c).fit(X, Y).distance_interval_ for c in levels])
    quantiles = norm.ppf([(1 + c) / 2 for c in levels])
    first, second = np.diff(bounds, axis=0)
    # Without the halves the ratio would be 1.23 instead of 1.04.
    np.testing.assert_allclose(first / second, np.divide(*np.diff(quantiles)), rtol=0.05)


def test_integer_weights_are_rows():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 2), rng.randn(50, 2) + 1
    w, v = rng.randint(0, 4, 60), rng.randint(0, 4, 50)
    weighted = W1Transport().fit(X, Y, sample_weight=w, target_weight=v)
    repeated = W1Transport().fit(rng.permutation(X.repeat(w, axis=0)), Y.repeat(v, axis=0))
    np.testing.assert_array_equal(weighted.transform(X), repeated.transform(X))
    np.testing.assert_array_equal(weighted.distance_interval_, repeated.distance_interval_)
    assert weighted.distance_ == repeated.distance_


def test_columns_that_are_constant():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(400, 3), rng.randn(300, 3) + np.eye(3)[0] * 2
    X[:, 2], Y[:, 2] = 7, 7
    transport = W1Transport().fit(X, Y)
    np.testing.assert_allclose(transport.transform(X)[:, 2], 7)
    Y[:, 2] = 9
    moved = W1Transport().fit(X, Y)
    # Half of the size of a cell.
    assert np.abs(moved.transform(X)[:, 2] - 9).mean() < 0.3
    assert moved.distance_ == pytest.approx(np.hypot(2, 2), rel=0.1)
    equal = W1Transport().fit(np.ones((20, 2)), np.ones((30, 2)))
    assert equal.distance_ == 0
    assert equal.ray_efficiency_ == 1
    np.testing.assert_array_equal(equal.transform([[1.0, 1.0], [2.0, 3.0]]), [[1.0, 1.0], [2.0, 3.0]])


@pytest.mark.filterwarnings("ignore:distance_")
def test_points_with_ties():
    """Four points to four points, each by 1."""
    X = np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]]).repeat(100, axis=0)
    transport = W1Transport().fit(X, X + np.eye(2)[0])
    assert transport.distance_ == pytest.approx(1, rel=0.05)
    assert np.abs(transport.transform(X) - X - [1, 0]).max() < 0.25


def test_far_rows():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(4000, 2), rng.randn(4000, 2) + np.eye(2)[0] * 2
    expected = W1Transport().fit(X, Y)
    X[0], Y[0] = [1e4, 0], [1e4, 0]
    with pytest.warns(UserWarning, match="Numbers are far out"):
        transport = W1Transport().fit(X, Y)
    moves = [fitted.transform(X[1:]) - X[1:] for fitted in (expected, transport)]
    assert np.mean((moves[1] - moves[0]) ** 2) < 0.2 * np.mean(moves[0] ** 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(transport.transform([[1e6, -1e6], [1e150, 0]])).all()


def test_without_a_target_it_is_the_normal_distribution():
    rng = np.random.RandomState(0)
    X = 0.5 * rng.randn(3000, 2) + 3
    transport = W1Transport(confidence=None).fit(X)
    images = transport.transform(X)
    np.testing.assert_allclose(images.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(images.std(axis=0), 1, atol=0.1)


def test_few_rows_warn_and_many_do_not():
    rng = np.random.RandomState(0)
    with pytest.warns(UserWarning, match=r"distance_=.* is doubtful: the dual value is .* and .* on held-out rows"):
        transport = W1Transport().fit(rng.randn(30, 4), rng.randn(30, 4))
    assert transport.dual_values_[1] < transport.dual_values_[0]
    assert transport.distance_interval_[0] < transport.distance_interval_[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        W1Transport().fit(rng.randn(500, 2), rng.randn(500, 2) + 3)


def test_too_few_rows_for_held_out_ones():
    transport = W1Transport().fit([[0.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [3.0, 5.0]])
    assert transport.distance_ == pytest.approx(5, rel=0.1)
    assert np.isnan(transport.dual_values_).all()
    np.testing.assert_array_equal(transport.distance_interval_, [0, np.inf])


def test_more_features_than_the_grid_takes():
    X = np.random.RandomState(0).randn(100, 7)
    with pytest.raises(ValueError, match=r"at most 6 axes, but X and X_target have 7 features .* n_axes=6"):
        W1Transport("grid").fit(X, X + 1)
    transport = W1Transport(n_axes=1).fit(X, X + 10)
    assert transport.transport_.axes.directions.shape == (7, 1)
    assert transport.distance_ == pytest.approx(10 * np.sqrt(7), rel=0.01)
    with pytest.raises(ValueError, match=r"at most 6 axes"):
        W1Transport("grid", n_axes=7).fit(X, X)


@pytest.mark.parametrize("n_axes", [None, 1])
def test_gradient_of_the_potential(shifted, n_axes):
    transport = shifted if n_axes is None else W1Transport(n_axes=n_axes).fit(correlated(0), correlated(1) + SHIFT)
    X, step = correlated(5, 300), 1e-3
    values, gradient = transport.potential(X, return_gradient=True)
    np.testing.assert_array_equal(values, transport.potential(X))
    for axis in np.eye(2):
        slopes = (transport.potential(X + step * axis) - transport.potential(X - step * axis)) / (2 * step)
        # The gradient is that of neighbouring cells, and the potential is linear within a cell.
        assert np.quantile(np.abs(slopes - gradient @ axis), 0.9) < 0.1
    if n_axes is None:
        assert np.mean(gradient @ -SHIFT) / np.linalg.norm(SHIFT) > 0.98


def test_precision_of_the_input(shifted):
    X = correlated(4, 100)
    for name in ("transform", "inverse_transform", "potential"):
        double, single = (getattr(shifted, name)(X.astype(dtype)) for dtype in (np.float64, np.float32))
        assert (double.dtype, single.dtype) == (np.float64, np.float32)
        np.testing.assert_allclose(single, double, atol=0.01)
