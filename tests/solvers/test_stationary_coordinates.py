"""Coordinates of flattened pictures in which the map between stationary Gaussian pictures is the identity."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.stationary import stationary_map
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates

SHAPE = (6, 5, 3)


@pytest.fixture
def samples():
    """Pictures with correlated colours, of different sharpness and in different units."""
    rng = np.random.RandomState(0)
    X, Y = (
        gaussian_filter(rng.randn(n_rows, *SHAPE), (0, width, width, 0)) @ rng.randn(3, 3)
        for n_rows, width in ((300, 0.5), (250, 1.0))
    )
    return 50 + 30 * X.reshape(len(X), -1), 0.1 * Y.reshape(len(Y), -1) - 2


def balance(X, Y):
    source, target = Sample.of(X), Sample.of(Y)
    return StationaryCoordinates.balance(stationary_map(source, target, SHAPE), source, target)


def test_the_map_between_stationary_pictures_is_the_identity(samples):
    X, Y = samples
    coordinates = balance(X, Y)
    mapped = stationary_map(Sample.of(X), Sample.of(Y), SHAPE).transport(X)
    np.testing.assert_allclose(coordinates.of_target(mapped), coordinates.of_source(X), atol=1e-9)


def test_means_are_zero_and_the_mean_variance_is_one(samples):
    coordinates = balance(*samples)
    u, v = coordinates.of_source(samples[0]), coordinates.of_target(samples[1])
    for rows in (u, v):
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-9)
    assert np.mean(u**2) + np.mean(v**2) == pytest.approx(2)
    # Without noise of few rows both variances would be equal.
    assert np.mean(u**2) == pytest.approx(1, abs=0.05)


def test_inner_products_are_those_of_the_data(samples):
    """Inner products do not change, so the optimal map of the squared cost is the same in both coordinates."""
    X, Y = samples
    coordinates = balance(X, Y)
    inner = (X - coordinates.source_mean) @ (Y - coordinates.target_mean).T
    inner_there = coordinates.of_source(X) @ coordinates.of_target(Y).T * coordinates.scale**2
    np.testing.assert_allclose(inner_there, inner, atol=1e-9 * np.abs(inner).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_round_trips(samples, dtype):
    X, Y = (sample.astype(dtype) for sample in samples)
    coordinates = balance(X, Y)
    tolerance = {"rtol": 0, "atol": 1e4 * np.finfo(dtype).eps * np.abs(X).max()}
    np.testing.assert_allclose(coordinates.to_source(coordinates.of_source(X)), X, **tolerance)
    np.testing.assert_allclose(coordinates.to_target(coordinates.of_target(Y)), Y, **tolerance)
    assert coordinates.of_source(X).dtype == coordinates.to_target(X).dtype == dtype


def test_the_mean_cost_of_a_plan(samples):
    X, Y = (sample[:100] for sample in samples)
    coordinates = balance(X, Y)
    product = np.sum(coordinates.of_source(X) * coordinates.of_target(Y), axis=1).mean()
    expected = np.sum((X - Y) ** 2, axis=1).mean() / 2
    assert coordinates.mean_cost(X, Y, product) == pytest.approx(expected)


def test_lengths_are_those_of_the_data(samples):
    coordinates = balance(*samples)
    to_coordinates = (coordinates.of_source, coordinates.of_target)
    for sample, to, lengths in zip(samples, to_coordinates, coordinates.lengths, strict=True):
        ratios = np.linalg.norm(lengths(np.diff(to(sample), axis=0)), axis=1)
        ratios /= np.linalg.norm(np.diff(sample, axis=0), axis=1)
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_all_directions_vary(samples):
    coordinates = balance(*samples)
    U = coordinates.of_source(samples[0])
    assert coordinates.n_axes == U.shape[1]
    assert coordinates.within(U) is U
    assert coordinates.lift(np.negative, U[:1]).tolist() == (-U[:1]).tolist()
    assert coordinates.lift_values(np.negative, U[:1]).tolist() == (-U[:1]).tolist()


def test_weights_are_repeated_rows(samples):
    X, Y = (sample[:40] for sample in samples)
    weight = 1 + np.arange(40) % 3
    source, target = Sample.of(X, weight), Sample.of(Y)
    stationary = stationary_map(source, target, SHAPE)
    repeated = Sample.of(np.repeat(X, weight, axis=0))
    scales = [StationaryCoordinates.balance(stationary, sample, target).scale for sample in (source, repeated)]
    assert scales[0] == pytest.approx(scales[1])


def test_samples_without_variance():
    coordinates = balance(np.ones((3, 90)), np.zeros((3, 90)))
    np.testing.assert_array_equal(coordinates.of_source(np.ones((1, 90))), 0)
