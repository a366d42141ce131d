"""Moments of weighted samples, and the shrinkage of their correlations."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from sklearn_ot.solvers.moments import Moments, sample_moments
from sklearn_ot.solvers.samples import Sample

SHRINKAGES = pytest.mark.parametrize("shrinkage", [None, "auto", 0.3])


def moments_of(X, shrinkage=None, weight=None, **options):
    return sample_moments(Sample.of(X, weight), shrinkage, **options)


@SHRINKAGES
@pytest.mark.parametrize("unit", [1e-150, 1e-6, 1e6, 1e200])
def test_moments_follow_a_change_of_units(shrinkage, unit):
    X = np.random.RandomState(0).randn(20, 5) + 3
    moments, scaled = moments_of(X, shrinkage), moments_of(unit * X, shrinkage)
    np.testing.assert_allclose(scaled.mean, unit * moments.mean, rtol=1e-13)
    np.testing.assert_allclose(scaled.deviations, unit * moments.deviations, rtol=1e-13)
    np.testing.assert_allclose(scaled.correlation, moments.correlation, atol=1e-13)
    np.testing.assert_allclose(scaled.shrinkage, moments.shrinkage, rtol=1e-11)


@SHRINKAGES
def test_each_column_has_its_own_unit(shrinkage):
    X, units = np.random.RandomState(0).randn(50, 3), np.array([1e-200, 1, 1e200])
    moments, scaled = moments_of(X, shrinkage), moments_of(units * X, shrinkage)
    np.testing.assert_allclose(scaled.deviations, units * moments.deviations, rtol=1e-13)
    np.testing.assert_allclose(scaled.correlation, moments.correlation, atol=1e-13)
    assert scaled.shrinkage == pytest.approx(moments.shrinkage, rel=1e-11)


@SHRINKAGES
@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_moments_ignore_an_offset(shrinkage, offset):
    # Sums of 1e8 and multiples of 2⁻¹⁰ are exact, so the rows differ only by the offset.
    X = np.round(1024 * np.random.RandomState(0).randn(20, 5)) / 1024
    moments, moved = moments_of(X, shrinkage), moments_of(X + offset, shrinkage)
    np.testing.assert_allclose(moved.mean, moments.mean + offset, rtol=1e-15)
    np.testing.assert_allclose(moved.covariance, moments.covariance, atol=1e-14)


def test_the_covariance_is_numpys():
    X = np.random.RandomState(0).randn(12, 5) * [5, 1, 1, 1, 0.1]
    empirical = np.cov(X.T, bias=True)
    np.testing.assert_allclose(moments_of(X).covariance, empirical, rtol=1e-10)
    np.testing.assert_allclose(moments_of(X, 0.3).covariance, 0.7 * empirical + 0.3 * np.diag(np.diag(empirical)))
    np.testing.assert_allclose(moments_of(X, 1).covariance, np.diag(np.diag(empirical)), atol=1e-14)


def test_the_weight_of_the_shrinkage_is_ledoit_and_wolfs_without_the_diagonal():
    """For standardised columns the weight of Ledoit and Wolf has the same numerator, with the diagonal in it."""
    X = np.random.RandomState(0).uniform(size=(40, 6)) @ (np.eye(6) + 0.5)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    R, products = Z.T @ Z / 40, np.einsum("ni,nj->nij", Z, Z)
    noise = np.mean((products - R) ** 2, axis=0) / 40
    assert ledoit_wolf(Z)[1] == pytest.approx(np.sum(noise) / np.sum((R - np.eye(6)) ** 2))
    pairs = ~np.eye(6, dtype=bool)
    assert moments_of(X, "auto").shrinkage == pytest.approx(np.sum(noise[pairs]) / np.sum(R[pairs] ** 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_that_does_not_vary_has_no_variance(dtype):
    X = np.random.RandomState(0).randn(11, 3).astype(dtype)
    X[:, 1] = 1e8 / 3
    moments = moments_of(X, "auto")
    assert moments.mean.dtype == moments.covariance.dtype == np.float64
    assert moments.mean[1] == X[0, 1]
    assert not moments.covariance[1].any()


@SHRINKAGES
@pytest.mark.parametrize("keep_rows", [False, True])
def test_integer_weights_are_numbers_of_equal_rows(shrinkage, keep_rows):
    rng = np.random.RandomState(0)
    X, weight = rng.standard_t(3, (30, 4)), rng.randint(0, 5, 30)
    weighted = moments_of(X, shrinkage, weight, keep_rows=keep_rows)
    repeated = moments_of(rng.permutation(np.repeat(X, weight, axis=0)), shrinkage, keep_rows=keep_rows)
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-14)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, atol=1e-13)
    assert weighted.shrinkage == pytest.approx(repeated.shrinkage, rel=1e-12)
    assert weighted.noise == pytest.approx(repeated.noise, rel=1e-12)
    np.testing.assert_allclose(weighted.peaks, repeated.peaks, rtol=1e-12)


def test_rows_in_chunks_have_the_moments_of_all_rows():
    X = np.random.RandomState(0).randn(150_000, 40).astype(np.float32) + np.float32(3)
    # Products of float32 rows have errors of 1e-7.
    np.testing.assert_allclose(moments_of(X).covariance, np.cov(X.T.astype(float), bias=True), atol=1e-6)


def test_few_far_numbers_do_not_change_the_shrinkage_much():
    X = np.random.RandomState(0).randn(200, 10) @ (np.eye(10) + 0.3)
    clean, far = moments_of(X, "auto"), X.copy()
    far[3, 4] = 1e9
    wild = moments_of(far, "auto")
    # One of ten columns has lost its correlations, and with them a fifth of the signal.
    assert clean.shrinkage < wild.shrinkage < 1.5 * clean.shrinkage
    # If the number counted as it is, the noise would be ten times as large.
    assert clean.noise < wild.noise < 1.5 * clean.noise
    others = np.delete(np.arange(10), 4)
    np.testing.assert_allclose(wild.correlation[np.ix_(others, others)], clean.correlation[np.ix_(others, others)])


@pytest.mark.parametrize("common", [0, 3])
def test_the_noise_is_the_variance_of_the_logarithms_of_deviations_around_their_mean(common):
    """Deviations of correlated columns vary together, which is no noise of their differences."""
    rng, found = np.random.RandomState(0), []
    for _ in range(300):
        moments = moments_of(rng.randn(100, 5) + common * rng.randn(100, 1), "auto")
        found.append([moments.noise, np.var(np.log(moments.deviations), ddof=1)])
    noise, variance = np.mean(found, axis=0)
    # The variance of 300 times 4 normal numbers has the relative error √(2 / 1200) = 0.04.
    assert noise == pytest.approx(variance, rel=0.15)


def test_numbers_whose_differences_are_no_floats_are_refused():
    X = np.array([[0, 1.0], [0, -1], [0, 1]]) * 1.7e308
    with pytest.raises(ValueError, match="Column 1 has numbers so large"):
        moments_of(X)


def test_moments_of_the_standard_normal():
    np.testing.assert_array_equal(Moments.standard(3).covariance, np.eye(3))
