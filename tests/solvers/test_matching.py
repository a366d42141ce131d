"""Matched rows: marginals are exact, pairs are near each other, weights are kept."""

import numpy as np
import pytest

from sklearn_ot.solvers.matching import match_rows, match_samples
from sklearn_ot.solvers.samples import Sample


@pytest.mark.parametrize("n", [1, 2, 128, 129, 1000])
def test_pairs_are_a_permutation(n):
    rng = np.random.RandomState(0)
    partner = match_rows(rng.randn(n, 3), rng.randn(n, 3), rng)
    np.testing.assert_array_equal(np.sort(partner), np.arange(n))


def test_equal_rows_are_matched_too():
    X = np.ones((1000, 2))
    np.testing.assert_array_equal(np.sort(match_rows(X, X, np.random.RandomState(0))), np.arange(1000))


def test_pairs_are_near_each_other():
    """In the plane, pairs are much nearer than two rows at random; on a line they have the same rank in each part."""
    rng = np.random.RandomState(0)
    x, y = rng.randn(2, 5000, 2)
    distances = np.linalg.norm(x - y[match_rows(x, y, rng)], axis=1)
    assert distances.mean() < 0.1 * np.linalg.norm(x - y, axis=1).mean()
    # A sum of distances on a line is least for equal ranks.
    shift = y[match_rows(x[:, :1], y[:, :1], rng), 0] - x[:, 0]
    least = np.abs(np.sort(y[:, 0]) - np.sort(x[:, 0])).mean()
    assert np.abs(shift).mean() == pytest.approx(least, rel=1e-9)


def test_pairs_turn_with_the_rows():
    rng = np.random.RandomState(0)
    x, y = rng.randn(2, 600, 2) * [3, 1]
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    before, after = (match_rows(x @ a, y @ a, np.random.RandomState(1)) for a in (np.eye(2), turn))
    # The first guess of a direction does not turn, so that rows near the middle may change sides.
    assert np.mean(before == after) > 0.5


def test_weights_are_kept():
    rng = np.random.RandomState(0)
    X, Y = np.arange(6.0)[:, None], np.arange(4.0)[:, None]
    source, target = Sample.of(X, [0, 1, 2, 3, 4, 0]), Sample.of(Y)
    x, y = match_samples(source, target, 40, rng)
    np.testing.assert_array_equal(np.bincount(x[:, 0].astype(int), minlength=6), [0, 4, 8, 12, 16, 0])
    np.testing.assert_array_equal(np.bincount(y[:, 0].astype(int)), [10, 10, 10, 10])
    # Equally weighted rows are all there once.
    x, y = match_samples(Sample.of(X), Sample.of(X + 1), 6, rng)
    np.testing.assert_array_equal(np.sort(x[:, 0]), X[:, 0])
    np.testing.assert_array_equal(np.sort(y[:, 0]), X[:, 0] + 1)
