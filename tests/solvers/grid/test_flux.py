"""The dual of Wasserstein-1 on a grid: mass is conserved, both problems agree, closed forms."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from sklearn_ot.solvers.grid import gradient, mass_moved, outflow, solve
from sklearn_ot.solvers.grid._flux import InverseLaplacian

SHAPES = [(40,), (16, 9), (8, 6, 5)]


def masses(shape, seed=0):
    """Two distributions on cells; half of the cells are empty in each."""
    rng = np.random.RandomState(seed)
    found = [rng.rand(*shape) * (rng.rand(*shape) < 0.5) for _ in range(2)]
    return [part / part.sum() for part in found]


@pytest.mark.parametrize("shape", SHAPES)
def test_outflow_is_the_adjoint_of_the_gradient(shape):
    rng = np.random.RandomState(0)
    f, m = rng.randn(*shape), rng.randn(len(shape), *shape)
    assert np.sum(gradient(f) * m) == pytest.approx(np.sum(f * outflow(m)))


@pytest.mark.parametrize("shape", SHAPES)
def test_inverse_laplacian(shape):
    f = np.random.RandomState(0).randn(*shape)
    f -= f.mean()
    np.testing.assert_allclose(InverseLaplacian(shape, np.float64)(outflow(gradient(f))), f, atol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_mass_is_conserved_after_any_number_of_steps(shape, n_steps):
    P, Q = masses(shape)
    _, m = solve(P - Q, n_steps)
    # Roundings of single precision.
    np.testing.assert_allclose(outflow(m), P - Q, atol=1e-5 * np.abs(P - Q).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_both_problems_have_the_same_value(shape):
    P, Q = masses(shape)
    f, m = solve(P - Q, 2000)
    slope = np.sqrt(np.sum(gradient(f) ** 2, axis=0)).max()
    assert slope < 1.001
    # The flux is exact, so its mass is an upper bound, and the potential divided by its slope gives a lower one.
    assert np.sum(f * (P - Q)) / slope == pytest.approx(mass_moved(m), rel=2e-3)


def test_on_a_line_it_is_the_exact_distance():
    P, Q = masses((40,))
    f, m = solve(P - Q, 3000)
    exact = wasserstein_distance(np.arange(40), np.arange(40), P, Q)
    # On a line only one flux conserves mass.
    assert mass_moved(m) == pytest.approx(exact, rel=1e-5)
    assert np.sum(f * (P - Q)) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("size", [20, 200])
def test_a_shift_that_fills_little_of_the_box_converges_as_fast(size):
    """The unit of the flux is that of the places with mass, and not the mean of the box."""
    P = np.zeros((size, size))
    P[3:6, 4:7] = 1 / 9
    f, _ = solve(P - np.roll(P, 10, axis=0), 200)
    assert np.sum(f * (P - np.roll(P, 10, axis=0))) == pytest.approx(10, rel=0.01)


def test_no_difference_moves_no_mass():
    f, m = solve(np.zeros((5, 4)), 10)
    assert not f.any()
    assert not m.any()


def test_a_start_saves_steps():
    P, Q = masses((24, 20))
    start = solve(P - Q, 300)
    values = [np.sum(solve(P - Q, 3, *given)[0] * (P - Q)) for given in ((), start)]
    exact = mass_moved(solve(P - Q, 3000)[1])
    assert abs(values[1] - exact) < 0.1 * abs(values[0] - exact)
