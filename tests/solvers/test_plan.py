"""Exact plans."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from sklearn_ot.solvers.plan import exact_pairing


def test_agrees_with_the_assignment_problem():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 3), 2 * rng.randn(60, 3) + 1
    cost = ((X[:, None] - Y[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(exact_pairing(X, Y), linear_sum_assignment(cost)[1])


def test_units_change_nothing():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 3), 2 * rng.randn(60, 3) + 1
    np.testing.assert_array_equal(exact_pairing(1e-9 * X, 1e-9 * Y), exact_pairing(X, Y))


def test_sorts_on_the_line():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(50, 1), rng.randn(50, 1)
    order = np.argsort(X[:, 0])
    assert np.all(np.diff(Y[exact_pairing(X, Y), 0][order]) > 0)
