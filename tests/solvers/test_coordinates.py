"""Balanced coordinates of two samples, and unit coordinates of one sample."""

import numpy as np
import pytest

from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample


def balance(X, Y, shrinkage=None):
    """Balanced coordinates of two samples."""
    return BalancedCoordinates.balance(sample_gaussian_map(Sample.of(X), Sample.of(Y), shrinkage))


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    X = rng.randn(500, 3) @ np.diag([1, 10, 0.1]) @ rng.randn(3, 3) + 5
    Y = rng.randn(400, 3) @ rng.randn(3, 3) * 100 - 70
    return X, Y


def test_the_gaussian_map_is_the_identity(samples):
    X, Y = samples
    gaussian = sample_gaussian_map(Sample.of(X), Sample.of(Y))
    coordinates = BalancedCoordinates.balance(gaussian)
    mapped = gaussian.target_mean + (X - gaussian.source_mean) @ gaussian.linear
    np.testing.assert_allclose(coordinates.of_target(mapped), coordinates.of_source(X), atol=1e-9)


def test_both_samples_have_the_same_covariance_of_mean_variance_one(samples):
    X, Y = samples
    coordinates = balance(X, Y)
    covariances = [np.cov(rows.T, bias=True) for rows in (coordinates.of_source(X), coordinates.of_target(Y))]
    np.testing.assert_allclose(covariances[0], covariances[1], atol=1e-8)
    np.testing.assert_allclose(np.trace(covariances[0]) / 3, 1)


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
    tolerance = {"rtol": 0, "atol": 1e4 * np.finfo(dtype).eps * np.abs(Y).max()}
    np.testing.assert_allclose(coordinates.to_source(coordinates.of_source(X)), X, **tolerance)
    np.testing.assert_allclose(coordinates.to_target(coordinates.of_target(Y)), Y, **tolerance)
    assert coordinates.of_source(X).dtype == dtype


def test_samples_without_variance():
    coordinates = balance(np.ones((3, 2)), np.zeros((3, 2)))
    np.testing.assert_array_equal(coordinates.of_source(np.ones((1, 2))), 0)


@pytest.mark.parametrize("shrinkage", [None, "auto"])
def test_focus_finds_the_directions_that_vary(shrinkage):
    rng = np.random.RandomState(0)
    rotation = np.linalg.qr(rng.randn(7, 7))[0]
    X, Y = (
        (rows * [1, 2, 3]) @ rotation[:3] + offset for rows, offset in ((rng.randn(300, 3), 1), (rng.rand(200, 3), 5))
    )
    balanced = balance(X, Y, shrinkage)
    coordinates = balanced.focus(X, Y)
    assert coordinates.axes.shape == (7, 3)
    np.testing.assert_allclose(coordinates.axes.T @ coordinates.axes, np.eye(3), atol=1e-12)
    u, v = coordinates.of_source(X), coordinates.of_target(Y)
    for rows in (u, v):
        # The other directions have the smallest variances of the Gaussian map, 1e-6 of the mean.
        np.testing.assert_allclose(rows, coordinates.within(rows) @ coordinates.axes.T, atol=1e-5)
    assert np.mean(coordinates.within(u) ** 2) + np.mean(coordinates.within(v) ** 2) == pytest.approx(2)
    assert balanced.within(u) is u
    assert balance(X[:, :3], Y[:, :3]).focus(X[:, :3], Y[:, :3]).axes is None
    constant = np.ones((10, 2))
    assert balance(constant, constant).focus(constant, constant).axes is None


def test_integer_weights_focus_like_equal_rows():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 3), rng.randn(60, 3)
    # Only ten rows vary in the last column: enough if they are heavy, by a factor of 5.7 in the variance.
    for rows in (X, Y):
        rows[10:, 2] = 0
        rows[:10, 2] *= 0.0155
    counts = np.where(np.arange(60) < 10, 100, 1)
    balanced = balance(X, Y)
    repeated = balanced.focus(*(np.repeat(rows, counts, axis=0) for rows in (X, Y)))
    weighted = balanced.focus(X, Y, counts.astype(float), counts.astype(float))
    assert (balanced.focus(X, Y).n_axes, repeated.n_axes, weighted.n_axes) == (2, 3, 3)
    # Without that column the scale is that of the others.
    X[:, 2] = Y[:, 2] = 0
    balanced = balance(X, Y)
    repeated = balanced.focus(*(np.repeat(rows, counts, axis=0) for rows in (X, Y)))
    weighted = balanced.focus(X, Y, counts.astype(float), counts.astype(float))
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)
    np.testing.assert_allclose(weighted.axes, repeated.axes, atol=1e-12)


def test_a_lifted_map_changes_coordinates_along_the_axes_alone(samples):
    balanced = balance(*samples)
    axes = np.linalg.qr(np.random.RandomState(0).randn(3, 2))[0]
    coordinates, U = balanced._replace(axes=axes), np.random.RandomState(1).randn(7, 3)
    assert (balanced.n_axes, coordinates.n_axes) == (3, 2)
    images = coordinates.lift(np.sinh, U)
    np.testing.assert_allclose(images @ axes, np.sinh(U @ axes))
    across = np.eye(3) - axes @ axes.T
    np.testing.assert_allclose(images @ across, U @ across)
    # The gradient of a lifted potential is the lifted gradient, here for the sum of cosh.
    values, step = (lambda U: coordinates.lift_values(lambda W: np.cosh(W).sum(axis=1), U)), 1e-5
    differences = [(values(U + step * axis) - values(U - step * axis)) / (2 * step) for axis in np.eye(3)]
    np.testing.assert_allclose(images, np.transpose(differences), atol=1e-8)
    np.testing.assert_array_equal(balanced.lift(np.sinh, U), np.sinh(U))
    np.testing.assert_array_equal(balanced.lift_values(np.sum, U), np.sum(U))


def test_the_mean_cost_of_a_plan(samples):
    """The formula for pairs of rows, which are a plan, gives their mean cost."""
    X, Y = samples[0][:400], samples[1]
    coordinates = balance(X, Y)
    product = np.mean(np.sum(coordinates.of_source(X) * coordinates.of_target(Y), axis=1))
    expected = np.mean(np.sum((X - Y) ** 2, axis=1)) / 2
    assert coordinates.mean_cost(X, Y, product) == pytest.approx(expected)


def test_few_rows_of_many_columns_have_coordinates_in_their_span():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(12, 50) * np.geomspace(1, 100, 50) + 3, rng.randn(9, 50) * np.geomspace(30, 1, 50)
    coordinates = balance(X, Y, "auto").focus(X, Y)
    # The centred source rows span 11 directions, and the target rows 8 of them.
    assert (coordinates.root.shape, coordinates.n_axes) == ((19, 19), 8)
    np.testing.assert_allclose(coordinates.axes.T @ coordinates.axes, np.eye(8), atol=1e-12)
    u, v = coordinates.of_source(X), coordinates.of_target(Y)
    assert np.mean(coordinates.within(u) ** 2) + np.mean(coordinates.within(v) ** 2) == pytest.approx(2)
    np.testing.assert_allclose(coordinates.to_source(u), X, atol=1e-9)
    np.testing.assert_allclose(coordinates.to_target(v), Y, atol=1e-9)
    inner = (X - coordinates.source_mean) @ (Y - coordinates.target_mean).T
    np.testing.assert_allclose(u @ v.T * coordinates.scale**2, inner, atol=1e-9 * np.abs(inner).max())
    gaussian = sample_gaussian_map(Sample.of(X), Sample.of(Y), "auto")
    np.testing.assert_allclose(coordinates.to_target(u), gaussian.transport(X), atol=1e-9)


@pytest.mark.parametrize("constant", ["source", "target"])
def test_a_column_that_varies_in_one_sample_only_is_left_out(samples, constant):
    X, Y = (rows.copy() for rows in samples)
    (X if constant == "source" else Y)[:, 1] = 7
    coordinates = balance(X, Y, "auto").focus(X, Y)
    assert coordinates.n_axes == 2
    np.testing.assert_allclose(coordinates.axes[1], 0, atol=1e-12)


@pytest.mark.parametrize("units", [(1e30, 1e30), (1e30, 1e-30), (1e-30, 1e30)])
def test_float32_rows_of_any_size_have_coordinates(samples, units):
    X, Y = samples
    expected = balance(X, Y).of_source(X)
    X, Y = (np.float32(unit) * rows.astype(np.float32) for unit, rows in zip(units, samples, strict=True))
    coordinates = balance(X, Y)
    np.testing.assert_allclose(coordinates.of_source(X), expected, atol=1e-3)
    np.testing.assert_allclose(coordinates.to_source(coordinates.of_source(X)) / X, 1, atol=1e-2)
    np.testing.assert_allclose(coordinates.to_target(coordinates.of_target(Y)) / Y, 1, atol=1e-2)


@pytest.mark.parametrize("units", [(1e160, 1e160), (1e-160, 1e-160), (1e160, 1)])
def test_numbers_with_squares_beyond_floats_are_refused(samples, units):
    X, Y = (unit * rows for unit, rows in zip(units, samples, strict=True))
    with pytest.raises(ValueError, match="divide both by a unit"):
        balance(X, Y)


@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_sample_has_size_one_beside_a_constant_sample(unit, is_reversed):
    X, Y = unit * np.random.RandomState(0).randn(50, 3), np.full((4, 3), unit)
    coordinates = balance(*(Y, X) if is_reversed else (X, Y))
    u = coordinates.of_target(X) if is_reversed else coordinates.of_source(X)
    # The column of the largest deviation has the deviation 1, the others one that is a little smaller.
    np.testing.assert_allclose(u.std(axis=0), 1, atol=0.2)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_units_beyond_float32(is_reversed):
    # The factors of the constant sample are above 3e38.
    X, Y = np.random.RandomState(0).randn(50, 3).astype(np.float32), np.zeros((4, 3), np.float32)
    X *= np.float32(1e-36)
    X[:, 0] = 0
    samples = (Y, X) if is_reversed else (X, Y)
    coordinates = balance(*samples)
    found = coordinates.of_source(samples[0]), coordinates.of_target(samples[1])
    expected = coordinates.of_source(samples[0].astype(float)), coordinates.of_target(samples[1].astype(float))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert coordinates.to_source(found[0]).dtype == coordinates.to_target(found[1]).dtype == np.float32


def test_rounding_errors_do_not_turn_the_axes():
    rng = np.random.RandomState(0)
    # Eight directions vary, all alike, and two vary so little that they are left out.
    rotation, deviations = np.linalg.qr(rng.standard_normal((10, 10)))[0], np.r_[np.ones(8), 1e-4, 1e-4]
    X, Y = (rng.standard_normal((60, 10)) * deviations @ rotation for _ in range(2))
    axes = []
    for factor in (1, 3, 2.0**-44):
        gaussian = sample_gaussian_map(Sample.of(factor * X), Sample.of(factor * Y))
        axes.append(BalancedCoordinates.balance(gaussian).focus(factor * X, factor * Y).axes)
    assert axes[0].shape == (10, 8)
    np.testing.assert_allclose(axes[1:], [axes[0]] * 2, atol=1e-8)
