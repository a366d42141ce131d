import numpy as np
import ot
import pytest
from sklearn.covariance import ledoit_wolf

from sklearn_ot.solvers.gaussian import gaussian_map, sample_moments


def random_covariance(n_features, condition, seed):
    axes, _ = np.linalg.qr(np.random.RandomState(seed).randn(n_features, n_features))
    return (axes * np.geomspace(1, 1 / condition, n_features)) @ axes.T


def linear_part(source_covariance, target_covariance):
    zero = np.zeros(len(source_covariance))
    return gaussian_map(zero, source_covariance, zero, target_covariance).linear


def relative_error(actual, desired):
    return np.linalg.norm(actual - desired) / np.linalg.norm(desired)


def spiked_covariance(seed, n_features=64, spike_seed=0):
    """A covariance of rank 1, along a direction that depends only on ``spike_seed``."""
    direction = np.random.RandomState(spike_seed).randn(n_features)
    return (1 + np.random.RandomState(seed).rand()) * np.outer(direction, direction)


@pytest.mark.parametrize("scales", [(1, 1), (1e-6, 1e6), (1e6, 1e-6), (1e-6, 1e-6)])
@pytest.mark.parametrize("n_features", [1, 2, 16, 256])
def test_map_pushes_one_covariance_onto_the_other(n_features, scales):
    source = scales[0] ** 2 * random_covariance(n_features, 1e3, 0)
    target = scales[1] ** 2 * random_covariance(n_features, 1e3, 1)
    linear = linear_part(source, target)
    assert np.array_equal(linear, linear.T)
    assert np.linalg.eigvalsh(linear).min() > 0
    # The tolerance is the rounding 1e-16, times the condition number 1e3, times a factor for the size.
    assert relative_error(linear @ source @ linear, target) < 1e-12
    assert relative_error(np.linalg.inv(linear), linear_part(target, source)) < 1e-11


def test_map_equals_pot_where_pot_is_accurate():
    rng = np.random.RandomState(0)
    source, target = random_covariance(16, 10, 0), random_covariance(16, 10, 1)
    source_mean, target_mean = rng.randn(16), rng.randn(16)
    linear, shift = ot.gaussian.bures_wasserstein_mapping(source_mean, target_mean, source, target)
    result = gaussian_map(source_mean, source, target_mean, target)
    np.testing.assert_allclose(result.linear, linear, atol=1e-13)
    np.testing.assert_allclose(result.target_mean - result.source_mean @ result.linear, shift, atol=1e-13)


def test_map_between_numbers_is_the_ratio_of_deviations():
    assert linear_part(np.array([[4.0]]), np.array([[9.0]]))[0, 0] == pytest.approx(1.5, rel=1e-15)


def test_map_is_accurate_for_badly_conditioned_products_of_roots():
    source, target = spiked_covariance(1), spiked_covariance(2)
    floor = 1e-6 * np.eye(64)
    with np.errstate(invalid="ignore"):
        textbook, _ = ot.gaussian.bures_wasserstein_mapping(np.zeros(64), np.zeros(64), source + floor, target + floor)
    assert not np.isfinite(textbook).all()
    linear = linear_part(source, target)
    # The condition number is 6e7 with raised eigenvalues.
    assert relative_error(linear @ source @ linear, target) < 1e-8


def test_direction_degenerate_in_both_gets_the_ratio_of_traces():
    linear = linear_part(np.diag([1.0, 3.0, 0.0]), np.diag([25.0, 11.0, 0.0]))
    np.testing.assert_allclose(np.diag(linear), [5, np.sqrt(11 / 3), 3], rtol=1e-12)


def test_direction_degenerate_in_the_target_keeps_an_inverse():
    linear = linear_part(np.diag([1.0, 1.0]), np.diag([8.0, 0.0]))
    np.testing.assert_allclose(np.diag(linear), [np.sqrt(8), 2e-3], rtol=1e-12)


def test_direction_degenerate_in_the_source_is_stretched_at_most_a_thousandfold():
    linear = linear_part(np.diag([2.0, 0.0]), np.diag([1.0, 1.0]))
    np.testing.assert_allclose(np.diag(linear), [np.sqrt(0.5), 1e3], rtol=1e-12)


@pytest.mark.parametrize(
    ("source_variance", "target_variance", "factor"), [(0.0, 0.0, 1.0), (0.0, 4.0, 1e3), (4.0, 0.0, 1e-3)]
)
def test_samples_without_variance_have_a_map(source_variance, target_variance, factor):
    linear = linear_part(source_variance * np.eye(3), target_variance * np.eye(3))
    np.testing.assert_allclose(linear, factor * np.eye(3), rtol=1e-12)


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
@pytest.mark.parametrize("unit", [1e-150, 1e-6, 1e6])
def test_moments_follow_a_change_of_units(shrinkage, unit):
    X = np.random.RandomState(0).randn(20, 5) + 3
    mean, covariance = sample_moments(X, shrinkage)
    scaled_mean, scaled_covariance = sample_moments(unit * X, shrinkage)
    np.testing.assert_allclose(scaled_mean, unit * mean, rtol=1e-13)
    # The product of two units would leave the range of floats.
    np.testing.assert_allclose(scaled_covariance / unit / unit, covariance, rtol=1e-11)


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_moments_ignore_an_offset(shrinkage, offset):
    # Sums of 1e8 and multiples of 2⁻¹⁰ are exact, so the rows differ only by the offset.
    X = np.round(1024 * np.random.RandomState(0).randn(20, 5)) / 1024
    mean, covariance = sample_moments(X, shrinkage)
    moved_mean, moved_covariance = sample_moments(X + offset, shrinkage)
    np.testing.assert_allclose(moved_mean, mean + offset, rtol=1e-15)
    np.testing.assert_allclose(moved_covariance, covariance, atol=1e-14)


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
def test_moments_follow_a_rotation(shrinkage):
    X = np.random.RandomState(0).randn(20, 5) * [5, 1, 1, 1, 0.1]
    rotation, _ = np.linalg.qr(np.random.RandomState(1).randn(5, 5))
    _, covariance = sample_moments(X, shrinkage)
    _, rotated = sample_moments(X @ rotation, shrinkage)
    np.testing.assert_allclose(rotated, rotation.T @ covariance @ rotation, atol=1e-12)


def test_shrinkages_are_scikit_learns():
    X = np.random.RandomState(0).randn(12, 5) * [5, 1, 1, 1, 0.1]
    empirical = np.cov(X.T, bias=True)
    np.testing.assert_allclose(sample_moments(X)[1], empirical, rtol=1e-10)
    np.testing.assert_allclose(sample_moments(X, "auto")[1], ledoit_wolf(X)[0], rtol=1e-10)
    np.testing.assert_allclose(sample_moments(X, 1)[1], np.trace(empirical) / 5 * np.eye(5), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_that_does_not_vary_has_no_variance(dtype):
    X = np.random.RandomState(0).randn(11, 3).astype(dtype)
    X[:, 1] = 1e8 / 3
    mean, covariance = sample_moments(X)
    assert mean.dtype == covariance.dtype == np.float64
    assert mean[1] == X[0, 1]
    assert not covariance[1].any()
