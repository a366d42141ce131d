"""The map between two Gaussians with pooled covariances: few rows, many rows, and weights."""

import numpy as np
import pytest

from sklearn_ot.solvers.gaussian import gaussian_map
from sklearn_ot.solvers.pooled import _map, pooled_gaussian_map
from sklearn_ot.solvers.samples import Sample

D = 6
ROOT = np.diag([1.0, 1.0, 1.0, 0.3, 2.0, 1.0])


def fitted(n, target_root, seed=0):
    rng = np.random.RandomState(seed)
    source, target = rng.randn(n, D), rng.randn(n, D) @ target_root + 3
    return source, target, pooled_gaussian_map(Sample.of(source), Sample.of(target), rng)


def test_many_rows_give_the_map_of_the_covariances():
    _, _, found = fitted(20_000, ROOT)
    # Deviations of 20 000 rows have an error of half a per cent.
    np.testing.assert_allclose(found.linear, ROOT, atol=0.05)


def test_equal_covariances_give_a_map_of_the_mean():
    errors = []
    for seed in range(10):
        source, target, found = fitted(30, np.eye(D), seed)
        plain = gaussian_map(source.mean(axis=0), np.cov(source.T), target.mean(axis=0), np.cov(target.T))
        errors.append([np.linalg.norm(linear - np.eye(D)) for linear in (found.linear, plain.linear)])
    pooled, plain = np.mean(errors, axis=0)
    assert pooled < 0.4 * plain


def test_means_are_those_of_the_samples():
    source, target, found = fitted(50, ROOT)
    np.testing.assert_allclose(found.transport(source).mean(axis=0), target.mean(axis=0))


def test_weights_are_used():
    rng = np.random.RandomState(0)
    rows, target = rng.randn(4000, D), rng.randn(3000, D) + 1
    weight = np.where(rows[:, 0] > 0, 3, 1)
    found = pooled_gaussian_map(Sample.of(rows, weight), Sample.of(target), rng)
    np.testing.assert_allclose(found.transport(rows).T @ weight / weight.sum(), target.mean(axis=0))


@pytest.mark.parametrize("n", [2, 3])
def test_few_rows_only_move_the_mean(n):
    _, _, found = fitted(n, ROOT)
    np.testing.assert_allclose(found.linear, np.eye(D), atol=1e-8)


def test_copies_are_in_one_fold():
    errors = []
    for seed in range(10):
        source, target, _ = fitted(30, np.eye(D), seed)
        samples = [Sample.of(np.repeat(rows, 2, axis=0)) for rows in (source, target)]
        maps = [pooled_gaussian_map(*samples, np.random.RandomState(seed), n_copies) for n_copies in (1, 2)]
        errors.append([np.linalg.norm(found.linear - np.eye(D)) for found in maps])
    # If a copy of each row that is left out is known, the noise looks like a difference of the distributions.
    copied, whole = np.mean(errors, axis=0)
    assert whole < 0.5 * copied


def test_pooled_covariances_have_the_weights_of_the_samples():
    rng = np.random.RandomState(0)
    rows, target = rng.randn(30, D), rng.randn(90, D) @ ROOT
    weight = 1 + np.arange(30) % 3
    found = _map((Sample.of(rows, weight), Sample.of(target)), 0.25)
    rows = np.repeat(rows, weight, axis=0)
    covariances = [np.cov(part.T, bias=True) for part in (rows, target)]
    pooled = (len(rows) * covariances[0] + 90 * covariances[1]) / (len(rows) + 90)
    source, image = (0.75 * covariance + 0.25 * pooled for covariance in covariances)
    expected = gaussian_map(rows.mean(axis=0), source, target.mean(axis=0), image)
    np.testing.assert_allclose(found.linear, expected.linear, atol=1e-10)
