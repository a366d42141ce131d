import pickle
from functools import partial

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import approx_fprime, minimize_scalar
from scipy.spatial.distance import cdist

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.metrics import energy_distance, l2_uvp, wasserstein_distance

# "icnn" is trained in seconds: its tests are below.
FAMILIES = {name: partial(make_potential_pair, family=name) for name in ("envelope", "ridge", "separable")}
MAKERS = {"gaussian": make_gaussian_pair, "logsumexp": make_potential_pair, **FAMILIES}
PAIRS = pytest.mark.parametrize("make_pair", list(MAKERS.values()), ids=list(MAKERS))
DIMENSIONS = pytest.mark.parametrize("n_features", [1, 2, 16, 256])
# Products of matrices of 256 columns and condition below 4, in float64.
ROUNDING = 1e-12


def name_of(make_pair):
    """The key of a function of MAKERS."""
    return next(name for name, other in MAKERS.items() if other is make_pair)


# Properties of every pair


@PAIRS
@DIMENSIONS
def test_inverse_undoes_transport(make_pair, n_features):
    pair = make_pair(n_features, 60, random_state=0)
    # The inverse of "ridge" is 1 / 0.1-Lipschitz and solved to 1e-12 / 0.1 times a size of about 10; "logsumexp" has
    # 0.3 and 50. The inverse of "separable" divides rounding errors by a slope, which is above 1e-3 here.
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
    # The smallest modulus of a Gaussian pair is ½ / 2, by its eigenvalues; those of the others are documented.
    modulus = {"ridge": 0.1, "separable": 0}.get(name_of(make_pair), 0.25)
    assert np.all(gap >= modulus / 8 * np.sum((x - y) ** 2, axis=1))


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
    monkeypatch.setattr(pair.inverse.__self__.psi, "MAX_NEWTON_STEPS", 2)
    with pytest.raises(RuntimeError, match=r"left \d+ of 10 rows unsolved after 2 steps"):
        pair.inverse(pair.target)


# Families of potentials


@pytest.mark.parametrize("family", ["logsumexp", "envelope"])
def test_far_rows_are_moved_along_one_slope(family):
    pair = make_potential_pair(2, 10, family=family, n_pieces=5, random_state=0)
    far = 1e4 * np.random.RandomState(0).standard_normal((300, 2))
    far = far[np.linalg.norm(far, axis=1) > 1e3]
    # One piece leads by far more than 1 there, unless the row is near the boundary of two cells.
    slopes = np.unique((pair.transport(far) - 0.3 * far).round(6), axis=0, return_counts=True)[1]
    assert len(slopes) <= 5 + 3
    assert slopes.max() > 30


def test_the_envelope_is_a_moreau_envelope():
    psi = make_potential_pair(2, 2, family="envelope", n_pieces=4, random_state=0).potential.__self__.psi
    for z in np.random.RandomState(0).standard_normal((20, 4)):
        # The best w cuts z off at a level t, the maximum of w.
        best = minimize_scalar(lambda t, z=z: t + np.square(np.maximum(z - t, 0)).sum() / 2)
        assert psi.outer(z[None])[0] == pytest.approx(best.fun, abs=1e-9)


def test_a_ridge_has_its_four_kinds_in_turn():
    far = np.array([[1e6]])
    roots, steps = (
        make_potential_pair(1, 2, family="ridge", n_pieces=k, random_state=0).transport(far) for k in (1, 2)
    )
    assert 0.5 <= (roots - 1e5) / 1.5e3 <= 2
    fourth = make_potential_pair(1, 2, family="ridge", n_pieces=4, random_state=0).transport(far)
    assert 0.5 <= 4 * fourth / 1e18 <= 2
    assert abs(steps) < 1.1e5 + 4


@pytest.mark.parametrize("n_features", [2, 5])
def test_a_separable_map_has_the_same_axes_everywhere(n_features):
    pair = make_potential_pair(n_features, 2, family="separable", random_state=0)

    def jacobian(x):
        step = 1e-5 * np.eye(n_features)
        return (pair.transport(x + step) - pair.transport(x - step)) / 2e-5

    one, other = map(jacobian, pair.source)
    np.testing.assert_allclose(one @ other, other @ one, atol=1e-6)


def test_a_bounded_target_has_no_preimages_outside():
    pair = make_potential_pair(2, 100, family="separable", random_state=0)
    with pytest.raises(ValueError, match="of 100 rows have no preimage: this target is bounded in some directions"):
        pair.inverse(100 * pair.target)


@pytest.mark.parametrize("family", ["separable", "icnn"])
@pytest.mark.parametrize("name", ["n_pieces", "strong_convexity"])
def test_a_family_without_pieces_refuses_their_number(family, name):
    with pytest.raises(ValueError, match=f"{name}=3 has no effect on family='{family}'"):
        make_potential_pair(2, 10, family=family, **{name: 3})


@pytest.fixture(scope="module")
def trained_pair():
    state = torch.get_rng_state()
    pair = make_potential_pair(2, 400, family="icnn", random_state=0)
    assert torch.equal(state, torch.get_rng_state())
    return pair


def test_trained_networks_are_a_pair(trained_pair):
    x = trained_pair.source
    images = trained_pair.transport(x)
    # The inverse is 1 / 0.01-Lipschitz and solved to 1e-10 (1 + |y|).
    np.testing.assert_allclose(trained_pair.inverse(images), x, atol=1e-7)
    for row, image in zip(x[:3], images, strict=False):
        np.testing.assert_allclose(
            approx_fprime(row, lambda x: trained_pair.potential(x[None])[0], 1e-6), image, atol=1e-4
        )
    first, second = np.split(x, 2)
    gap = (trained_pair.potential(first) + trained_pair.potential(second)) / 2
    gap = gap - trained_pair.potential((first + second) / 2)
    assert np.all(gap >= 0.01 / 8 * np.sum((first - second) ** 2, axis=1))
    copy = pickle.loads(pickle.dumps(trained_pair))
    np.testing.assert_array_equal(copy.transport(x), images)


def test_trained_networks_carry_the_source_near_another_mixture(trained_pair):
    images = trained_pair.transport(trained_pair.source)
    assert images.var(axis=0).sum() == pytest.approx(2, abs=0.5)
    augmented = np.column_stack([trained_pair.source, np.ones(400)])
    assert l2_uvp(augmented @ np.linalg.lstsq(augmented, images, rcond=None)[0], images) > 3


# Sources


@pytest.mark.parametrize("source", ["mixture", "uniform", "student", "correlated"])
@pytest.mark.parametrize("n_features", [1, 8])
def test_every_source_has_mean_0_and_a_mean_variance_of_1(source, n_features):
    rows = make_potential_pair(n_features, 40_000, source=source, random_state=0).source
    # The kurtosis of the t distribution with 5 degrees of freedom is 9, so that the standard deviation of a variance is
    # √(8 / n) = 0.014; in the fewest directions, those of "correlated", a variance is n_features · 0.9 / 2.
    scale = rows.std(axis=0).max()
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=5 * scale / np.sqrt(40_000))
    assert rows.var(axis=0).mean() == pytest.approx(1, abs=0.07)


def test_sources_have_their_shapes():
    uniform, student, correlated = (
        make_potential_pair(8, 40_000, source=source, random_state=0).source
        for source in ("uniform", "student", "correlated")
    )
    assert np.abs(uniform).max() <= np.sqrt(3)
    assert np.abs(uniform).max() > 1.7
    assert ((student**4).mean() / (student**2).mean() ** 2) > 5
    spectrum = np.linalg.eigvalsh(np.cov(correlated, rowvar=False))
    assert spectrum[-2:].sum() / spectrum.sum() == pytest.approx(0.9, abs=0.01)
