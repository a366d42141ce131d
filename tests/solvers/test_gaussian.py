import time
import tracemalloc

import numpy as np
import ot
import pytest
from sklearn.covariance import ledoit_wolf

from sklearn_ot.solvers.gaussian import gaussian_map, map_between, sample_gaussian_map
from sklearn_ot.solvers.moments import sample_moments
from sklearn_ot.solvers.samples import Sample


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


@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e8])
def test_the_map_is_accurate_for_columns_in_different_units(ratio):
    """The error of each entry is relative to the deviations of its two columns."""
    units = np.array([1, ratio, 1, 1 / ratio, ratio])
    source, target = (random_covariance(5, 10, seed) * np.outer(units, units) for seed in (0, 1))
    linear = linear_part(source, target)
    error = (linear @ source @ linear - target) / np.sqrt(np.outer(np.diag(target), np.diag(target)))
    assert np.abs(error).max() < 1e-10


def test_columns_of_any_size_have_a_map():
    units = np.array([1e-150, 1, 1e150])
    linear = linear_part(np.diag([1.0, 1, 1]) * units * units, np.diag([4.0, 9, 0.25]) * units * units)
    np.testing.assert_allclose(linear, np.diag([2, 3, 0.5]), rtol=1e-12)


def test_direction_without_variance_in_both_gets_the_typical_stretch():
    linear = linear_part(np.diag([1.0, 1.0, 3.0, 0.0]), np.diag([25.0, 9.0, 12.0, 0.0]))
    np.testing.assert_allclose(np.diag(linear), [5, 3, 2, 3], rtol=1e-12)


@pytest.mark.parametrize(("target", "typical"), [([1 / 64, 16.0, 1], 4), ([1 / 16, 64.0, 1], 1 / 4)])
def test_the_typical_stretch_of_two_columns_is_the_one_nearer_to_one(target, typical):
    assert linear_part(np.diag([1.0, 1.0, 0.0]), np.diag(target))[2, 2] == pytest.approx(typical)


def test_direction_without_variance_in_the_target_keeps_an_inverse():
    linear = linear_part(np.diag([1.0, 1.0]), np.diag([8.0, 0.0]))
    np.testing.assert_allclose(np.diag(linear), [np.sqrt(8), 1e-3 * np.sqrt(8)], rtol=1e-12)


@pytest.mark.parametrize("variance", [0.0, 1e-300, 1e-18, 1e-7])
def test_a_column_without_variance_in_the_source_gets_the_typical_stretch(variance):
    source, target = np.diag([2.0, 1.0, variance]), random_covariance(3, 10, 0)
    gaussian = gaussian_map(np.zeros(3), source, np.zeros(3), target)
    np.testing.assert_allclose(gaussian.linear[:2, :2], linear_part(source[:2, :2], target[:2, :2]), rtol=1e-12)
    np.testing.assert_array_equal(gaussian.linear[2, :2], 0)
    assert gaussian.linear[2, 2] < 1
    np.testing.assert_array_equal(gaussian.unvaried, [0, 0, 1])


def test_a_combination_without_variance_in_the_source_gets_the_typical_stretch():
    """Source rows lie in the plane a + b = 2 c, and so do their images; across the plane the stretch is bounded."""
    plane = np.linalg.qr(np.array([[1.0, 1, 1], [1, -1, 0]]).T)[0]
    across = np.array([1, 1, -2]) / np.sqrt(6)
    source, target = plane @ np.diag([2.0, 1]) @ plane.T, random_covariance(3, 10, 0)
    gaussian = gaussian_map(np.zeros(3), source, np.zeros(3), target)
    stretches = np.sqrt(np.diag(target) / np.diag(source))
    np.testing.assert_allclose(gaussian.linear @ across, np.median(stretches) * across, atol=1e-7)
    inside = linear_part(plane.T @ source @ plane, plane.T @ target @ plane)
    np.testing.assert_allclose(plane.T @ gaussian.linear @ plane, inside, atol=1e-7)
    assert (gaussian.unvaried > 0.3).all()
    # A target in the same plane has no other directions.
    target = plane @ np.diag([1.0, 5]) @ plane.T
    assert gaussian_map(np.zeros(3), source, np.zeros(3), target).unvaried.max() < 1e-6


@pytest.mark.parametrize(("source", "target", "factor"), [(0.0, 0.0, 1.0), (0.0, 4.0, 1.0), (4.0, 0.0, 1e-3)])
def test_samples_without_variance_have_a_map(source, target, factor):
    linear = linear_part(source * np.eye(3), target * np.eye(3))
    np.testing.assert_allclose(linear, factor * np.eye(3), rtol=1e-12)


def samples(n_source, n_target, n_features, seed=0, common=0.3):
    """Two samples of correlated columns with different stretches."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n_source, n_features) + common * rng.randn(n_source, 1)
    return X, np.linspace(1, 3, n_features) * (rng.randn(n_target, n_features) - common * rng.randn(n_target, 1)) + 5


def fitted(X, Y, shrinkage="auto"):
    return sample_gaussian_map(Sample.of(X), None if Y is None else Sample.of(Y), shrinkage)


@pytest.mark.parametrize("value", [100, 1e9, 1e200])
@pytest.mark.parametrize("side", ["source", "target"])
def test_one_wild_number_does_not_change_the_other_columns(value, side):
    rng = np.random.RandomState(0)
    X, Y = rng.randn(200, 10), rng.randn(200, 10)
    clean = np.diag(fitted(X, Y).linear)
    (X if side == "source" else Y)[17, 4] = value
    stretches = np.delete(np.diag(fitted(X, Y).linear), 4)
    # The noise of a stretch is √(½/200 + ½/200) = 0.07; without the wild number it is shrunk towards the common one.
    assert np.abs(stretches - 1).max() < 4 * 0.07
    assert np.sqrt(np.mean((stretches - np.delete(clean, 4)) ** 2)) < 0.07


def test_a_column_of_small_numbers_keeps_its_stretch():
    rng = np.random.RandomState(0)
    gaussian = fitted(rng.randn(500, 2) * [1, 100], rng.randn(500, 2) * [2.95, 100])
    # Four standard errors √(½/500 + ½/500).
    np.testing.assert_allclose(np.diag(gaussian.linear), [2.95, 1], rtol=4 * 0.045)


def rare_samples(n_rare, rng):
    """A source whose third column varies in the first rows only, and a target in which it is usual."""
    X, Y = rng.randn(20_000, 3), rng.randn(5000, 3) * [1, 2, 3]
    X[:, 2] = np.arange(len(X)) < n_rare
    return X, Y


def test_a_column_that_varies_in_a_few_rows_is_mapped_without_these_rows():
    X, Y = rare_samples(3, np.random.RandomState(0))
    gaussian, rest = fitted(X, Y), fitted(X[3:], Y)
    np.testing.assert_allclose(gaussian.linear, rest.linear, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(gaussian.unvaried, [0, 0, 1])
    weight = np.where(X[:, 2] == 1, 3.0, 1.0)
    weighted = sample_gaussian_map(Sample.of(X, weight), Sample.of(Y), "auto")
    np.testing.assert_allclose(weighted.linear, rest.linear, rtol=1e-10, atol=1e-12)


def test_a_column_that_varies_in_many_rows_or_is_rare_in_both_samples_keeps_its_own_stretch():
    rng = np.random.RandomState(0)
    X, Y = rare_samples(120, rng)
    assert fitted(X, Y).linear[2, 2] == pytest.approx(3 / np.sqrt(120 / 20_000), rel=0.1)
    for sample in (X, Y):
        sample[:, 2] = rng.permutation(len(sample)) < 8
    gaussian = fitted(X, Y)
    np.testing.assert_array_equal(gaussian.unvaried, 0)
    # The shares are 8 / 20 000 and 8 / 5000.
    assert gaussian.linear[2, 2] == pytest.approx(2, rel=0.1)


def test_the_units_of_uncorrelated_columns_do_not_matter():
    X, Y = samples(60, 40, 5)
    units = np.geomspace(1e-8, 1e8, 5)
    np.testing.assert_allclose(fitted(X * units, Y * units, 1.0).linear, fitted(X, Y, 1.0).linear, atol=1e-14)


@pytest.mark.parametrize("n_features", [2, 16])
@pytest.mark.parametrize("condition", [1, 10, 1000])
def test_the_shrinkage_is_as_good_as_ledoit_and_wolfs(n_features, condition):
    """With 20 rows per column in one unit, the map is as close to that of the distributions as with their weight."""
    rng, errors = np.random.RandomState(0), []
    for seed in range(120 // n_features):
        source, target = (random_covariance(n_features, condition, seed + offset) for offset in (0, 1000))
        X, Y = (rng.multivariate_normal(np.zeros(n_features), c, 20 * n_features) for c in (source, target))
        truth = linear_part(source, target)
        maps = fitted(X, Y).linear - truth, linear_part(ledoit_wolf(X)[0], ledoit_wolf(Y)[0]) - truth
        errors.append([np.trace(error @ source @ error) / np.trace(target) for error in maps])
    ours, theirs = np.mean(errors, axis=0)
    # Columns in one unit are an assumption that they make. It lowers the error if both covariances are the identity.
    assert ours < 1.1 * theirs + 0.01 / n_features


def test_equal_covariances_of_independent_columns_are_found():
    """Both correlations and different stretches of columns are only noise, and are removed."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(320, 16) * np.geomspace(1, 100, 16), rng.randn(320, 16) * np.geomspace(1, 100, 16)
    # Without shrinkage the stretches have the noise √(1/320), and the correlations make it larger.
    assert np.abs(np.diag(fitted(X, Y, None).linear) - 1).max() > 0.1
    assert np.abs(np.diag(fitted(X, Y).linear) - 1).max() < 0.03


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
def test_swapped_samples_have_the_inverse_map(shrinkage):
    X, Y = samples(60, 40, 5, common=0.8)
    Y *= np.geomspace(1, 0.4, 5)
    forward, backward = fitted(X, Y, shrinkage), fitted(Y, X, shrinkage)
    np.testing.assert_allclose(forward.linear @ backward.linear, np.eye(5), atol=1e-10)


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
@pytest.mark.parametrize("n_features", [4, 50, 100])  # with 50, the rows are fewer and their weights are more
@pytest.mark.parametrize("n_constant", [0, 45])
def test_integer_weights_are_numbers_of_equal_rows(shrinkage, n_features, n_constant):
    rng = np.random.RandomState(0)
    (X, Y), weight, other = samples(30, 20, n_features), rng.randint(0, 3, 30), rng.randint(1, 3, 20)
    # Fewer rows than columns, but as many equal rows as columns that vary.
    X[:, 2 : 2 + n_constant] = 7
    weighted = sample_gaussian_map(Sample.of(X, weight), Sample.of(Y, other), shrinkage)
    repeated = fitted(np.repeat(X, weight, axis=0), np.repeat(Y, other, axis=0), shrinkage)
    np.testing.assert_allclose(weighted.linear, repeated.linear, atol=1e-10)
    assert weighted.wasserstein_distance == pytest.approx(repeated.wasserstein_distance, rel=1e-10)


@pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])
@pytest.mark.parametrize("has_target", [True, False])
def test_the_span_of_few_rows_gives_the_map_of_restricted_covariances(shrinkage, has_target):
    X, Y = samples(12, 9, 40)
    gaussian = fitted(X, Y if has_target else None, shrinkage)
    basis = gaussian.basis
    assert basis.shape == (40, 19 if has_target else 11)
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(gaussian.core)), atol=1e-12)
    roots, linear = gaussian.roots, gaussian.linear
    # Outside of the span each column has its own stretch.
    outside = np.linalg.qr(np.hstack([basis, np.random.RandomState(0).randn(40, 3)]))[0][:, -3:]
    np.testing.assert_allclose(linear @ (outside / roots[:, None]), outside * roots[:, None], atol=1e-12)
    # Images and preimages of rows are those of the matrix.
    np.testing.assert_allclose(gaussian.transport(X), gaussian.target_mean + (X - gaussian.source_mean) @ linear)
    np.testing.assert_allclose(gaussian.inverse(gaussian.transport(X)), X, atol=1e-9)
    if shrinkage == 0.3:
        source = sample_moments(Sample.of(X), 0.3).covariance * np.outer(roots, roots)
        target = sample_moments(Sample.of(Y), 0.3).covariance if has_target else np.eye(40)
        inner = linear_part(basis.T @ source @ basis, basis.T @ (target / np.outer(roots, roots)) @ basis)
        np.testing.assert_allclose(gaussian.core, inner, atol=1e-9)


def test_the_span_of_few_rows_gives_the_map_of_all_columns_that_are_alike():
    """With one unit for all columns and equal weights, the shrunk covariances map the span to itself."""
    X, Y = samples(12, 9, 40)
    X, Y = (X - X.mean(axis=0)) / X.std(axis=0), 3 * (Y - Y.mean(axis=0)) / Y.std(axis=0)
    gaussian = fitted(X, Y, 0.3)
    source, target = (sample_moments(Sample.of(rows), 0.3).covariance for rows in (X, Y))
    whole = gaussian_map(np.zeros(40), source, np.zeros(40), target)
    np.testing.assert_allclose(gaussian.linear, whole.linear, atol=1e-9)
    assert gaussian.wasserstein_distance == pytest.approx(whole.wasserstein_distance)
    assert gaussian.deviation == pytest.approx(
        np.sqrt(np.trace(gaussian.core @ gaussian.basis.T @ source @ gaussian.basis) * 3 / 19)
    )


def test_the_distance_counts_the_variance_outside_of_the_span():
    rng = np.random.RandomState(0)
    signs = [rng.choice([-1.0, 1.0], (4, 20)) for _ in range(2)]
    # Every column has the deviation 1, so that both covariances map the span to itself.
    source, target = (
        sample_moments(Sample.of(np.vstack([rows, -rows])), shrinkage, keep_rows=True)
        for rows, shrinkage in zip(signs, (0.3, 0.7), strict=True)
    )
    dense = ot.gaussian.bures_wasserstein_distance(source.mean, target.mean, source.covariance, target.covariance)
    found = map_between(source, target)
    assert found.basis.shape[1] == 8
    assert found.wasserstein_distance == pytest.approx(dense, rel=1e-8)


def test_many_columns_take_little_time_and_memory():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(90, 16_000), rng.randn(90, 16_000) * np.geomspace(1, 3, 16_000)
    tracemalloc.start()
    try:
        start = time.process_time()
        images = fitted(X, Y).transport(X)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert images.shape == X.shape
    assert peak < 200 * 2**20
    # It takes 0.8 s; a dense matrix of the columns would take 2 GB and an hour.
    assert seconds < 5


def test_fresh_rows_of_many_columns_have_the_spread_of_the_target():
    rng = np.random.RandomState(0)
    deviations = np.geomspace(1, 3, 2000)
    X, Y, fresh = rng.randn(90, 2000), rng.randn(90, 2000) * deviations, rng.randn(500, 2000)
    spread = fitted(X, Y).transport(fresh).std(axis=0)
    np.testing.assert_allclose(
        [spread[:500].mean(), spread[-500:].mean()], [deviations[:500].mean(), deviations[-500:].mean()], rtol=0.1
    )
