import pickle

import numpy as np
import ot
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist

from sklearn_ot.datasets import make_wp_pair
from sklearn_ot.metrics import energy_distance, l2_uvp

KINDS = pytest.mark.parametrize("kind", ["turning", "random"])
TARGETS = pytest.mark.parametrize("target", ["mixture", "uniform", "student", "correlated"])
POWERS = pytest.mark.parametrize("p", [1.1, 1.5, 2, 3, 8])
DIMENSIONS = pytest.mark.parametrize("n_features", [2, 8, 64])


def matched_rows(pair, n_samples, seed=7):
    """Rows of the source, and their images."""
    return pair.sample_source(n_samples, seed), pair.sample_target(n_samples, seed)


# The map and the potentials


@KINDS
@TARGETS
@POWERS
@DIMENSIONS
def test_potentials_prove_that_the_map_is_optimal(kind, target, p, n_features):
    pair = make_wp_pair(n_features, 5, p=p, kind=kind, target=target, random_state=0)
    x, y = matched_rows(pair, 200)
    bounds = pair.potential(x)[:, None] + pair.target_potential(y)
    costs = cdist(x, y) ** p
    # Rounding errors of the potentials, which are of the size of the costs.
    rounding = 1e-12 * (costs.mean() + np.abs(bounds).max())
    assert (bounds <= costs + rounding).all()
    np.testing.assert_allclose(np.diag(bounds), np.diag(costs), atol=rounding)
    # For other pairs of rows the bound is not the cost.
    assert np.mean(costs - bounds > 100 * rounding) > 0.9


@KINDS
@POWERS
@pytest.mark.parametrize("n_features", [2, 8, 128])
def test_transport_and_inverse_undo_each_other(kind, p, n_features):
    pair = make_wp_pair(n_features, 5, p=p, kind=kind, random_state=0)
    x, y = matched_rows(pair, 200)
    # Gradients are solved to 1e-12 of the largest slope; flat directions of the objective have 1e-2 of its curvature.
    np.testing.assert_allclose(pair.transport(x), y, atol=1e-9)
    np.testing.assert_allclose(pair.inverse(pair.transport(x)), x, atol=1e-9)
    # Rows far out have images, too.
    far = 30 * x
    np.testing.assert_allclose(pair.inverse(pair.transport(far)), far, atol=1e-8)


@pytest.mark.parametrize("p", [1.1, 1.5, 1.9, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_that_hardly_move_have_images(p, seed):
    # The minimum of g is in the middle of the target, and steps near it are below 1e-9 for small p.
    pair = make_wp_pair(2, 5, p=p, kind="random", target="student", random_state=seed)
    x, y = matched_rows(pair, 2000)
    assert p > 1.5 or np.linalg.norm(x - y, axis=1).min() < 1e-2
    np.testing.assert_allclose(pair.transport(x), y, atol=1e-9)


@KINDS
@POWERS
def test_the_map_follows_the_gradient_of_the_potential(kind, p):
    pair = make_wp_pair(3, 5, p=p, kind=kind, random_state=0)
    x, y = matched_rows(pair, 5)
    for row, image in zip(x, y, strict=True):
        gradient = approx_fprime(row, lambda row: pair.potential(row[None])[0], 1e-6)
        step = row - image
        size = np.linalg.norm(step)
        # The gradient of |x - y|^p. Forward differences of values of the size of the cost.
        np.testing.assert_allclose(gradient, p * size ** (p - 2) * step, rtol=1e-3, atol=1e-4 * size ** (p - 1))


@pytest.mark.parametrize("p", [1.1, 1.5, 3, 4, 8])
@pytest.mark.parametrize("n_features", [2, 8])
def test_the_squared_cost_has_another_map(p, n_features):
    pair = make_wp_pair(n_features, 5, p=p, random_state=0)
    x, y = matched_rows(pair, 400)
    squared = cdist(x, y, "sqeuclidean")
    for power, is_other in ((p, False), (2, True)):
        costs = squared ** (power / 2)
        images = y[ot.emd([], [], costs / costs.max()).argmax(axis=1)]
        assert (l2_uvp(images, y) > 10) == is_other
        # The plan for p is the map itself.
        assert is_other or np.array_equal(images, y)


def test_for_the_square_the_turning_map_is_that_of_the_square():
    x, y = matched_rows(make_wp_pair(2, 5, p=2, random_state=0), 300)
    costs = cdist(x, y, "sqeuclidean")
    np.testing.assert_array_equal(ot.emd([], [], costs / costs.max()).argmax(axis=1), np.arange(300))


@pytest.mark.parametrize("p", [1.5, 3])
def test_the_steps_have_the_stated_sizes(p):
    random = make_wp_pair(4, 5, p=p, kind="random", random_state=0)
    x, y = matched_rows(random, 20_000)
    # The factor is measured with 10 000 rows.
    assert np.mean(np.square(x - y)) == pytest.approx(1, abs=0.03)
    turning = make_wp_pair(4, 5, p=p, random_state=0)
    x, y = matched_rows(turning, 20_000)
    covariance = np.cov(y, rowvar=False)
    axes = turning.transport.__self__.target.axes
    variances = np.diag(axes.T @ covariance @ axes)
    assert variances.sum() == pytest.approx(4, abs=0.15)
    assert variances[:2].sum() / variances.sum() == pytest.approx(0.8, abs=0.02)
    # The axes are those of the covariance.
    np.testing.assert_allclose(axes.T @ covariance @ axes, np.diag(variances), atol=0.05)
    # Steps are not longer than 15 standard deviations.
    assert 2 < np.sqrt(np.mean(np.square(x - y))) < 15.5


# The samples


@KINDS
@TARGETS
def test_rows_are_those_of_the_target_and_their_preimages(kind, target):
    pair = make_wp_pair(3, 2000, p=1.5, kind=kind, target=target, n_target_samples=1500, random_state=0)
    assert pair.source.shape == (2000, 3)
    assert pair.target.shape == (1500, 3)
    images = pair.transport(pair.source)
    assert cdist(images, pair.target).min() > 0
    for first, fresh in (
        (images, pair.target),
        (pair.source, pair.sample_source(2000, 1)),
        (pair.target, pair.sample_target(2000, 1)),
    ):
        # Three times the expectation for two samples of one distribution.
        bias = cdist(fresh, fresh).mean() * (1 / len(first) + 1 / len(fresh))
        assert energy_distance(first, fresh) < 3 * bias
    np.testing.assert_array_equal(pair.sample_source(5, 2), pair.inverse(pair.sample_target(5, 2)))
    np.testing.assert_allclose(pair.target.mean(axis=0), 0, atol=0.2)
    assert pair.target.var(axis=0).mean() == pytest.approx(1, abs=0.15)


@KINDS
def test_seeds_are_reproducible_and_numbers_of_rows_change_no_pair(kind):
    few, many = (make_wp_pair(4, n, kind=kind, random_state=0) for n in (10, 1000))
    np.testing.assert_array_equal(few.inverse(many.target), many.inverse(many.target))
    np.testing.assert_array_equal(many.source, make_wp_pair(4, 1000, kind=kind, random_state=0).source)
    other = make_wp_pair(4, 10, kind=kind, random_state=1)
    assert l2_uvp(other.inverse(many.target), many.inverse(many.target)) > 5


@KINDS
def test_a_pair_can_be_pickled(kind):
    pair = make_wp_pair(3, 20, kind=kind, random_state=0)
    copy = pickle.loads(pickle.dumps(pair))
    assert copy.keys() == pair.keys()
    for method in ("transport", "inverse", "potential", "target_potential"):
        np.testing.assert_array_equal(copy[method](pair.target), pair[method](pair.target))


def test_the_distance_is_a_root_of_a_mean_with_its_standard_error():
    pair = make_wp_pair(2, 5, p=3, kind="random", random_state=0)
    x, y = matched_rows(pair, 400_000, seed=11)
    exact = np.mean(np.linalg.norm(x - y, axis=1) ** 3) ** (1 / 3)
    errors = []
    for seed in range(200):
        distance, standard_error = pair.distance(1000, seed)
        errors.append((distance - exact) / standard_error)
    # The standard deviations of these two are 0.07 and 0.05; the root of a mean has a small bias.
    assert np.mean(errors) == pytest.approx(0, abs=0.3)
    assert np.std(errors) == pytest.approx(1, abs=0.2)


# Errors


def test_unusable_arguments_are_refused():
    for p in (1, 1.0, 9):
        with pytest.raises(ValueError, match="'p' parameter of make_wp_pair"):
            make_wp_pair(2, p=p)
    with pytest.raises(ValueError, match="needs 2 features or more"):
        make_wp_pair(1)
    with pytest.raises(ValueError, match="needs n_pieces=2 or more"):
        make_wp_pair(2, n_pieces=1)
    assert make_wp_pair(1, 10, kind="random", n_pieces=1, random_state=0).source.shape == (10, 1)
    pair = make_wp_pair(3, 20, random_state=0)
    for method in ("transport", "inverse", "potential", "target_potential"):
        with pytest.raises(ValueError, match="The rows have 2 features, but this pair has 3"):
            pair[method](np.ones((4, 2)))


def test_a_search_that_does_not_converge_raises_an_error(monkeypatch):
    pair = make_wp_pair(2, 10, random_state=0)
    monkeypatch.setattr(pair.transport.__self__.map, "MAX_NEWTON_STEPS", 1)
    with pytest.raises(RuntimeError, match=r"left \d+ of 10 rows unsolved after 1 steps"):
        pair.transport(pair.source)
