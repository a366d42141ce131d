"""The distance, the potential and the map on grids: closed forms, units, halves of the rows."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from sklearn_ot.solvers.axes import find_axes
from sklearn_ot.solvers.grid import solve_on_grid
from sklearn_ot.solvers.samples import Sample

SHIFT = np.array([3.0, -1.0, 2.0, 0.5])


def solved(X, Y, seed=0, **options):
    pair = Sample.of(X), Sample.of(Y)
    return solve_on_grid(*pair, find_axes(*pair, **options), np.random.RandomState(seed))


def correlated(n, d, seed):
    """Rows of a correlated normal distribution."""
    mix = np.random.RandomState(5).randn(d, d)
    return np.random.RandomState(seed).randn(n, d) @ mix


@pytest.mark.parametrize("d", [2, 3])
def test_translation_of_a_correlated_gaussian(d):
    shift = SHIFT[:d]
    X, Y = correlated(20_000, d, 0), correlated(20_000, d, 1) + shift
    solution = solved(X, Y)
    assert solution.distance == pytest.approx(np.linalg.norm(shift), rel=0.01)
    fresh = correlated(2000, d, 2)
    transport = solution.transport
    slopes = np.linalg.norm(transport.inner.gradient(transport.axes.coordinates(fresh)), axis=1)
    # A few rows in the tails are near cells without mass.
    assert np.quantile(slopes, 0.99) <= 1.03
    directions = transport.potential(fresh) - transport.potential(fresh + shift)
    assert np.mean(directions) == pytest.approx(np.linalg.norm(shift), rel=0.02)


def test_annulus_to_disc_has_radial_rays():
    """From r = 2 to r = 1 on the circle of the same angle, whose potential is the radius."""
    rng = np.random.RandomState(0)
    angles = rng.uniform(0, 2 * np.pi, (2, 20_000))
    radii = np.array([[2.0], [1.0]]) + rng.uniform(-0.1, 0.1, (2, 20_000))
    X, Y = (r[:, None] * np.column_stack([np.cos(a), np.sin(a)]) for r, a in zip(radii, angles, strict=True))
    solution = solved(X, Y)
    assert solution.distance == pytest.approx(1, rel=0.02)
    images = solution.transport.transport(X[:2000])
    # Rows stay on their ray, and keep their order on it.
    turned = np.abs(np.angle(np.exp(1j * (np.arctan2(*images.T[::-1]) - np.arctan2(*X[:2000].T[::-1])))))
    assert np.median(turned) < 0.05
    # The squared error, in squared lengths of the move, is a few per cent with so many rows.
    assert np.mean((np.linalg.norm(images, axis=1) - (np.linalg.norm(X[:2000], axis=1) - 1)) ** 2) < 0.04


def test_units_rotation_and_order():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(3000, 2) * [1, 3], rng.randn(3000, 2) * [2, 1] + [1, 1]
    expected = solved(X, Y)
    images = expected.transport.transport(X)
    for factor in (1024.0, 2.0**-60):
        scaled = solved(factor * X, factor * Y)
        assert scaled.distance == factor * expected.distance
        np.testing.assert_array_equal(scaled.transport.transport(factor * X), factor * images)
    turn = ortho_group(2).rvs(random_state=0)
    turned = solved(X @ turn, Y @ turn)
    # Only the box, the place of the cells and the forward differences change.
    assert turned.distance == pytest.approx(expected.distance, rel=0.02)
    error = np.mean((turned.transport.transport(X @ turn) - images @ turn) ** 2)
    assert error < 0.02 * np.mean((images - X) ** 2)


def test_the_map_follows_the_flux_and_back():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(5000, 2), 0.5 * rng.randn(5000, 2) + rng.choice([-2, 2], (5000, 1))
    solution = solved(X, Y)
    images = solution.transport.transport(X)
    fresh = 0.5 * rng.randn(5000, 2) + rng.choice([-2, 2], (5000, 1))

    def distance(Z):
        return solved(Z, fresh).distance

    assert distance(images) < 0.15 * distance(X)
    back = solution.transport.inverse(images)
    # The flow is not smooth where there are few rows, so that some of its steps have no exact inverse.
    assert np.mean((back - X) ** 2) < 1e-3 * np.mean((images - X) ** 2)
    assert np.median(np.abs(back - X)) < 5e-3


def test_more_features_than_axes():
    rng = np.random.RandomState(0)
    X = rng.randn(100, 9)
    with pytest.raises(ValueError, match=r"at most 6 axes, but X and X_target have 9 features .* 9 principal axes"):
        solved(X, X + 1)
    flat = X[:, :2] @ rng.randn(2, 9)
    assert find_axes(Sample.of(flat), Sample.of(flat + 1e-6)).directions.shape == (9, 2)
    solution = solved(X, X + np.eye(9)[0] * 20, n_axes=2)
    assert solution.distance == pytest.approx(20, rel=0.05)
    moved = solution.transport.transport(X) - X
    # Rows are moved within the plane of the axes.
    beside = moved - moved @ solution.transport.axes.directions @ solution.transport.axes.directions.T
    assert np.abs(beside).max() < 1e-9


def test_held_out_value_is_below_the_value_in_the_sample():
    rng = np.random.RandomState(0)
    solution = solved(rng.randn(500, 3), rng.randn(500, 3))
    assert solution.held_out < 0.3 * solution.in_sample
    # Both samples have the same distribution, and the distance between them is about 0.5.
    assert solution.distance < 0.25


@pytest.mark.parametrize("n", [2, 3, 7, 8])
def test_few_rows(n):
    rng = np.random.RandomState(0)
    X, Y = rng.randn(n, 2), rng.randn(n + 1, 2) + 5
    solution = solved(X, Y)
    assert (solution.sides is None) == (n < 8)
    assert solution.distance == pytest.approx(7, rel=0.25)
    assert np.isfinite(solution.transport.transport(100 * X)).all()
