import pickle

import numpy as np
import ot
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.metrics import energy_distance, l2_uvp, wasserstein_distance

PAIRS = pytest.mark.parametrize("make_pair", [make_gaussian_pair, make_potential_pair])
DIMENSIONS = pytest.mark.parametrize("n_features", [1, 2, 16, 256])
# Products of matrices of 256 columns and condition below 4, in float64.
ROUNDING = 1e-12


# Properties of every pair


@PAIRS
@DIMENSIONS
def test_inverse_undoes_transport(make_pair, n_features):
    pair = make_pair(n_features, 200, random_state=0)
    # The inverse of the potential pair is 1 / 0.3-Lipschitz and solved to 1e-12 / 0.3 times a size of about 50.
    np.testing.assert_allclose(pair.inverse(pair.transport(pair.source)), pair.source, atol=1e-9)
    np.testing.assert_allclose(pair.transport(pair.inverse(pair.target)), pair.target, atol=1e-9)


@PAIRS
@DIMENSIONS
def test_transport_is_the_gradient_of_the_potential(make_pair, n_features):
    pair = make_pair(n_features, 3, random_state=0)
    for x, image in zip(pair.source, pair.transport(pair.source), strict=True):
        gradient = approx_fprime(x, lambda x: pair.potential(x[None])[0], 1e-6)
        # Forward differences: half the step times the largest curvature (below 100), and 1e-16 · |ψ| / step.
        np.testing.assert_allclose(gradient, image, atol=1e-4)


@PAIRS
@DIMENSIONS
def test_potential_is_strongly_convex(make_pair, n_features):
    pair = make_pair(n_features, 100, random_state=0)
    x, y = np.split(pair.source, 2)
    gap = (pair.potential(x) + pair.potential(y)) / 2 - pair.potential((x + y) / 2)
    # The smallest modulus of a Gaussian pair is ½ / 2, by its eigenvalues; that of the potential pair is 0.3.
    assert np.all(gap >= 0.25 / 8 * np.sum((x - y) ** 2, axis=1))


@PAIRS
@DIMENSIONS
def test_transport_matches_each_row_with_its_own_image(make_pair, n_features):
    pair = make_pair(n_features, 100, random_state=0)
    images = pair.transport(pair.source)
    plan = ot.emd([], [], cdist(pair.source, images, "sqeuclidean"))
    np.testing.assert_array_equal(plan.argmax(axis=1), np.arange(100))


@PAIRS
def test_target_is_the_image_of_other_rows(make_pair):
    pair = make_pair(2, 500, n_target_samples=400, random_state=0)
    assert pair.source.shape == (500, 2)
    assert pair.target.shape == (400, 2)
    images = pair.transport(pair.source)
    assert cdist(images, pair.target).min() > 0
    # The images and the target still have the same distribution: their energy distance is not larger than expected
    # between two samples of one distribution, of which the mean is known.
    bias = cdist(images, images).mean() * (1 / 500 + 1 / 400)
    assert energy_distance(images, pair.target) < 3 * bias


@PAIRS
def test_fresh_rows_have_the_distribution_of_the_first(make_pair):
    pair = make_pair(3, 2000, random_state=0)
    for first, draw in ((pair.source, pair.sample_source), (pair.target, pair.sample_target)):
        fresh = draw(2000, random_state=1)
        assert fresh.shape == (2000, 3)
        assert energy_distance(first, fresh) < 3 * cdist(first, first).mean() * 2 / 2000
        np.testing.assert_array_equal(fresh, draw(2000, random_state=1))
    np.testing.assert_array_equal(pair.transport(pair.sample_source(5, 2)), pair.sample_target(5, 2))


@PAIRS
def test_the_pair_does_not_depend_on_the_numbers_of_rows(make_pair):
    few, many = make_pair(4, 10, random_state=0), make_pair(4, 1000, n_target_samples=7, random_state=0)
    np.testing.assert_array_equal(few.transport(many.source), many.transport(many.source))
    other = make_pair(4, 10, random_state=1)
    assert l2_uvp(other.transport(many.source), many.transport(many.source)) > 1
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(few.target, make_pair(4, 10, random_state=0).target)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@PAIRS
def test_a_pair_can_be_pickled(make_pair):
    pair = make_pair(3, 20, random_state=0)
    copy = pickle.loads(pickle.dumps(pair))
    assert copy.keys() == pair.keys()
    for method in ("transport", "inverse", "potential"):
        np.testing.assert_array_equal(copy[method](pair.target), pair[method](pair.target))
    np.testing.assert_array_equal(copy.sample_target(5, 0), pair.sample_target(5, 0))


@PAIRS
def test_unusable_arguments_are_refused(make_pair):
    with pytest.raises(ValueError, match="'n_features' parameter of make_"):
        make_pair(0)
    pair = make_pair(3, 20, random_state=0)
    for method in ("transport", "inverse", "potential"):
        with pytest.raises(ValueError, match="The rows have 2 features, but this pair has 3"):
            pair[method](np.ones((4, 2)))
        with pytest.raises(ValueError, match="NaN"):
            pair[method](np.full((4, 3), np.nan))


# The Gaussian pair


@DIMENSIONS
def test_gaussian_transport_carries_the_moments_exactly(n_features):
    pair = make_gaussian_pair(n_features, 2, random_state=0)
    A = pair.transport(np.eye(n_features)) - pair.transport(np.zeros((1, n_features)))
    np.testing.assert_allclose(A, A.T, atol=ROUNDING)
    assert np.linalg.eigvalsh(A).min() >= 0.5
    np.testing.assert_allclose(A @ pair.source_covariance @ A, pair.target_covariance, atol=ROUNDING)
    np.testing.assert_allclose(pair.transport(pair.source_mean[None]), pair.target_mean[None], atol=ROUNDING)
    for covariance in (pair.source_covariance, pair.target_covariance):
        spectrum = np.linalg.eigvalsh(covariance)
        assert spectrum.min() >= 0.5 - ROUNDING
        assert spectrum.max() <= 2 + ROUNDING


def test_gaussian_rows_have_the_stated_moments():
    pair = make_gaussian_pair(3, 100_000, random_state=0)
    for rows, mean, covariance in (
        (pair.source, pair.source_mean, pair.source_covariance),
        (pair.target, pair.target_mean, pair.target_covariance),
    ):
        # An entry of either has a standard deviation below 2 √(2 / n) = 0.009, as variances are below 2. The tolerance
        # is 5 of them.
        np.testing.assert_allclose(rows.mean(axis=0), mean, atol=0.045)
        np.testing.assert_allclose(np.cov(rows, rowvar=False), covariance, atol=0.045)


def test_gaussian_transport_has_the_cost_of_the_closed_form():
    pair = make_gaussian_pair(3, 100_000, random_state=0)
    moments = (pair.source_mean, pair.target_mean, pair.source_covariance, pair.target_covariance)
    squared = np.sum((pair.transport(pair.source) - pair.source) ** 2, axis=1)
    deviation = squared.std() / np.sqrt(len(squared))
    assert squared.mean() == pytest.approx(ot.gaussian.bures_wasserstein_distance(*moments) ** 2, abs=5 * deviation)


# The potential pair


@DIMENSIONS
@pytest.mark.parametrize("n_components", [1, 3])
def test_the_source_is_standardised(n_features, n_components):
    source = make_potential_pair(n_features, 20_000, n_components=n_components, random_state=0).source
    # The standard deviations are below 1 / √n and √(2 / n). The tolerance is 5 of them.
    np.testing.assert_allclose(source.mean(axis=0), 0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(source.var(axis=0), 1, atol=5 * np.sqrt(2 / 20_000))


@pytest.mark.parametrize("n_features", [2, 16, 64])
def test_the_best_linear_map_is_not_enough(n_features):
    pair = make_potential_pair(n_features, 5000, random_state=0)
    images = pair.transport(pair.source)
    augmented = np.column_stack([pair.source, np.ones(5000)])
    linear = augmented @ np.linalg.lstsq(augmented, images, rcond=None)[0]
    assert l2_uvp(linear, images) > 10


def test_the_target_has_the_modes_of_the_slopes():
    pair = make_potential_pair(2, 2000, n_pieces=4, strong_convexity=0.01, random_state=0)
    # With almost no quadratic part the target fills the convex hull of the slopes, with most mass at its corners.
    modes = np.unique(pair.target.round(0), axis=0, return_counts=True)[1]
    assert np.sort(modes)[-4:].sum() > 0.5 * 2000


@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize("strong_convexity", [1e-3, 0.3, 10])
def test_the_inverse_is_exact_anywhere(size, strong_convexity):
    pair = make_potential_pair(4, 10, strong_convexity=strong_convexity, random_state=0)
    Y = size * np.random.RandomState(0).standard_normal((300, 4))
    residual = pair.transport(pair.inverse(Y)) - Y
    # The documented tolerance; the largest coordinate of a slope is below 20.
    tolerance = 1e-12 / min(strong_convexity, 1) * (20 + np.linalg.norm(Y, axis=1))
    assert np.all(np.linalg.norm(residual, axis=1) <= tolerance)


def test_transport_is_optimal_among_samples():
    pair = make_potential_pair(2, 200, random_state=0)
    images = pair.transport(pair.source)
    cost = np.sqrt(np.mean(np.sum((images - pair.source) ** 2, axis=1)))
    assert cost == pytest.approx(wasserstein_distance(pair.source, images), rel=1e-12)


def test_an_inverse_that_does_not_converge_raises_an_error(monkeypatch):
    pair = make_potential_pair(2, 10, random_state=0)
    monkeypatch.setattr(pair.inverse.__self__, "MAX_NEWTON_STEPS", 2)
    with pytest.raises(RuntimeError, match=r"left \d+ of 10 rows unsolved after 2 steps"):
        pair.inverse(pair.target)
