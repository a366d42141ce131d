"""Balanced coordinates."""

import numpy as np
import pytest

from sklearn_ot.solvers.frame import BalancedFrame
from sklearn_ot.solvers.gaussian import sample_gaussian_map


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    X = rng.randn(500, 3) @ np.diag([1, 10, 0.1]) @ rng.randn(3, 3) + 5
    Y = rng.randn(400, 3) @ rng.randn(3, 3) * 100 - 70
    return X, Y


def test_the_gaussian_map_is_the_identity(samples):
    X, Y = samples
    gaussian, covariance = sample_gaussian_map(X, Y)
    frame = BalancedFrame.balance(gaussian, covariance)
    mapped = gaussian.target_mean + (X - gaussian.source_mean) @ gaussian.linear
    np.testing.assert_allclose(frame.target_to_frame(mapped), frame.source_to_frame(X), atol=1e-9)


def test_both_samples_have_the_same_covariance_of_mean_variance_one(samples):
    X, Y = samples
    frame = BalancedFrame.balance(*sample_gaussian_map(X, Y))
    covariances = [np.cov(rows.T, bias=True) for rows in (frame.source_to_frame(X), frame.target_to_frame(Y))]
    np.testing.assert_allclose(covariances[0], covariances[1], atol=1e-8)
    np.testing.assert_allclose(np.trace(covariances[0]) / 3, 1)


def test_inner_products_are_those_of_the_data(samples):
    """Which is why the optimal map of the squared cost is the same in both coordinates."""
    X, Y = samples
    frame = BalancedFrame.balance(*sample_gaussian_map(X, Y))
    inner = (X - frame.source_mean) @ (Y - frame.target_mean).T
    in_frame = frame.source_to_frame(X) @ frame.target_to_frame(Y).T * frame.scale**2
    np.testing.assert_allclose(in_frame, inner, atol=1e-9 * np.abs(inner).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_round_trips(samples, dtype):
    X, Y = (sample.astype(dtype) for sample in samples)
    frame = BalancedFrame.balance(*sample_gaussian_map(X, Y))
    tolerance = {"rtol": 0, "atol": 1e4 * np.finfo(dtype).eps * np.abs(Y).max()}
    np.testing.assert_allclose(frame.source_from_frame(frame.source_to_frame(X)), X, **tolerance)
    np.testing.assert_allclose(frame.target_from_frame(frame.target_to_frame(Y)), Y, **tolerance)
    assert frame.source_to_frame(X).dtype == dtype


def test_samples_without_variance():
    frame = BalancedFrame.balance(*sample_gaussian_map(np.ones((3, 2)), np.zeros((3, 2))))
    np.testing.assert_array_equal(frame.source_to_frame(np.ones((1, 2))), 0)
