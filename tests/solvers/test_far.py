"""Numbers that are far out, and those that only look so."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from sklearn_ot.solvers.far import far_numbers

DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "Student, 3 degrees of freedom": lambda rng, shape: rng.standard_t(3, shape),
    "lognormal": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "cubes": lambda rng, shape: rng.standard_normal(shape) ** 3,
    "counts": lambda rng, shape: rng.poisson(1, shape),
    "one-hot": lambda rng, shape: rng.uniform(size=shape) < 0.01,
    "zeros, else lognormal": lambda rng, shape: np.exp(rng.standard_normal(shape)) * (rng.uniform(size=shape) < 0.08),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n_samples", [50, 500, 5000])
def test_heavy_tails_are_not_far_out(name, n_samples):
    X = DRAWS[name](np.random.RandomState(0), (n_samples, 100_000 // n_samples)).astype(float)
    assert len(far_numbers(X).columns) <= 0.003 * X.shape[1]


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits, load_wine])
def test_ordinary_tables_have_no_numbers_far_out(load):
    X = load().data
    assert far_numbers(X).columns.size == 0
    X[5, 3] += 300 * X[:, 3].std() + 300
    far = far_numbers(X)
    assert (far.columns.tolist(), far.rows.tolist()) == ([3], [5]) or load is load_digits


@pytest.mark.parametrize("n_samples", [200, 2000, 200_000])
@pytest.mark.parametrize("value", [100, -1e6, 1e300])
def test_a_wild_number_is_found(n_samples, value):
    X = np.random.RandomState(0).standard_normal((n_samples, 3)).astype(np.float64)
    X[n_samples // 2 + 1, 1] = value
    far = far_numbers(X)
    assert (far.columns.tolist(), far.rows.tolist()) == ([1], [n_samples // 2 + 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_few_far_rows_are_found(dtype):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((2000, 6)).astype(dtype)
    X[[3, 500, 501, 1999]] *= 1000
    far = far_numbers(X)
    assert far.columns.tolist() == [0, 1, 2, 3, 4, 5]
    assert set(far.rows) == {3, 500, 501, 1999}


def test_one_per_cent_of_wild_numbers_are_found():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((1000, 8))
    X[rng.uniform(size=X.shape) < 0.01] *= 100
    assert len(far_numbers(X).columns) == 8


@pytest.mark.parametrize("X", [np.zeros((100, 2)), np.arange(10.0)[:, None], np.array([[0.0]] * 60 + [[1e9]] * 2)])
def test_constant_columns_few_rows_and_ties_have_no_numbers_far_out(X):
    assert far_numbers(X).columns.size == 0
