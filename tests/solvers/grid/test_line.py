"""Wasserstein-1 on a line: quantiles, slopes, the inverse, ties."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from sklearn_ot.solvers.grid import LineTransport
from sklearn_ot.solvers.samples import Sample


def samples(n=300, m=200, digits=9):
    rng = np.random.RandomState(0)
    x, y = np.round(rng.randn(n, 1), digits), np.round(rng.randn(m, 1) ** 3 + 0.5, digits)
    return Sample.of(x, rng.rand(n)), Sample.of(y, rng.randint(0, 4, m))


@pytest.mark.parametrize("digits", [9, 0])
def test_the_distance_is_that_of_the_distribution_functions(digits):
    P, Q = samples(digits=digits)
    line = LineTransport.of(P, Q)
    exact = wasserstein_distance(P.rows[:, 0], Q.rows[:, 0], P.mass, Q.mass)
    assert line.distance == pytest.approx(exact)
    # The potential attains it.
    assert P.mass @ line.potential(P.rows) - Q.mass @ line.potential(Q.rows) == pytest.approx(exact)
    z = np.sort(np.random.RandomState(1).uniform(-5, 5, (1000, 1)), axis=0)
    assert np.abs(np.diff(line.potential(z)) / np.diff(z[:, 0])).max() < 1 + 1e-9


def test_the_map_is_that_of_quantiles():
    rng = np.random.RandomState(0)
    x, y = rng.randn(1000, 1), np.exp(rng.randn(1000, 1))
    line = LineTransport.of(Sample.of(x), Sample.of(y))
    np.testing.assert_allclose(np.sort(line.transport(x), axis=0), np.sort(y, axis=0))
    np.testing.assert_allclose(line.inverse(line.transport(x)), x)
    assert (np.diff(line.transport(np.linspace(-9, 9, 500)[:, None])[:, 0]) >= 0).all()


def test_beyond_the_samples_the_step_is_that_of_the_end():
    line = LineTransport.of(Sample.of(np.array([[0.0], [1.0]])), Sample.of(np.array([[5.0], [7.0]])))
    np.testing.assert_allclose(line.transport(np.array([[-9.0], [0.5], [11.0]])), [[-4.0], [6.0], [17.0]])


def test_the_image_of_an_atom_is_in_the_middle_of_its_share():
    line = LineTransport.of(Sample.of(np.zeros((4, 1))), Sample.of(np.array([[1.0], [2.0], [3.0]])))
    np.testing.assert_allclose(line.transport(np.zeros((1, 1))), [[2.0]])


def test_equal_samples_have_no_slope():
    P, _ = samples()
    line = LineTransport.of(P, P)
    assert line.distance == 0
    assert not line.values.any()
