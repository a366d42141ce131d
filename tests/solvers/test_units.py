"""Unit coordinates: one scale or a scale for each column, ranges, far cells, constant columns."""

import numpy as np
import pytest

from sklearn_ot.solvers.units import UnitCoordinates


@pytest.fixture(name="X")
def rows():
    rng = np.random.RandomState(0)
    return rng.randn(500, 3) @ np.diag([1, 10, 0.1]) @ rng.randn(3, 3) + 5


def test_a_standard_unit_has_mean_zero_and_mean_variance_one(X):
    weights = np.random.RandomState(0).rand(500)
    weights /= weights.sum()
    coordinates = UnitCoordinates.standard(X, weights)
    U = coordinates.to_coordinates(X)
    np.testing.assert_allclose(weights @ U, 0, atol=1e-12)
    np.testing.assert_allclose(np.mean(weights @ U**2), 1)


@pytest.mark.parametrize(("offset", "unit"), [(1e4, 1), (0, 1e-25), (0, 1e20)])
def test_a_standard_unit_loses_nothing_in_float32(offset, unit):
    X = np.random.RandomState(0).exponential(unit, (200_000, 2)) + offset
    expected = UnitCoordinates.standard(X, np.full(len(X), 1 / len(X)))
    coordinates = UnitCoordinates.standard(X.astype(np.float32), np.full(len(X), 1 / len(X)))
    # The rows themselves are rounded, by at most 5e-4 units of the first rows.
    np.testing.assert_allclose(coordinates.center, expected.center, atol=1e-4 * unit)
    np.testing.assert_allclose(coordinates.scale, expected.scale, rtol=1e-4)
    assert np.isfinite(coordinates.from_coordinates(coordinates.to_coordinates(X.astype(np.float32)))).all()


def test_a_bounded_unit_has_the_range_of_all_features_together():
    X = np.array([[0, 100], [0, 255], [51, 204]], dtype=np.uint8).astype(float)
    np.testing.assert_allclose(UnitCoordinates.bounded(X).to_coordinates(X), X / 127.5 - 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_units_keep_distances_and_go_back(X, dtype):
    X = X.astype(dtype)
    for coordinates in (UnitCoordinates.standard(X, np.full(500, 1 / 500)), UnitCoordinates.bounded(X)):
        U = coordinates.to_coordinates(X)
        assert U.dtype == coordinates.from_coordinates(U).dtype == dtype
        tolerance = {"rtol": 0, "atol": 10 * np.finfo(dtype).eps * np.abs(X).max()}
        np.testing.assert_allclose(coordinates.from_coordinates(U), X, **tolerance)
        np.testing.assert_allclose((U[1:] - U[:-1]) * coordinates.scale, X[1:] - X[:-1], **tolerance)


def test_equal_rows_have_a_unit():
    X = np.full((3, 2), 7.1)
    for coordinates in (UnitCoordinates.standard(X, np.full(3, 1 / 3)), UnitCoordinates.bounded(X)):
        # The mean of equal numbers may differ from them by rounding.
        np.testing.assert_allclose(coordinates.to_coordinates(X), 0, atol=1e-14)


def columns(X):
    return UnitCoordinates.of_columns(X, np.full(len(X), 1 / len(X)))


@pytest.fixture
def table():
    """A normal, a uniform and a skewed column, in units that differ by 10⁷."""
    rng = np.random.RandomState(0)
    cells = [rng.randn(300), rng.rand(300), rng.exponential(size=300).clip(max=4)]
    return np.transpose(cells) * [1e-3, 1, 1e4] + [5, -2, 0]


def test_columns_have_variance_one_in_any_units(table):
    U = columns(table).to_coordinates(table)
    np.testing.assert_allclose(U.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(U.std(axis=0), 1)
    # The units of the columns have no effect, here powers of two, which do not change the rounding.
    factors = [2.0**-300, 1, 2.0**40]
    np.testing.assert_array_equal(columns(table * factors).to_coordinates(table * factors), U)


@pytest.mark.parametrize("value", [30, -999, 1e10, 1e200])
def test_a_far_cell_is_drawn_nearer_and_does_not_set_the_scale(table, value):
    clean, wild = columns(table), table.copy()
    wild[7, 1] = value
    coordinates = columns(wild)
    others = [0, 2]
    np.testing.assert_array_equal(coordinates.scale[others], clean.scale[others])
    # A cell at the end of the interval, 4.7 deviations of a uniform distribution, adds 4.7² / 300 to the variance.
    np.testing.assert_allclose(coordinates.scale[1], clean.scale[1], rtol=0.05)
    assert abs(coordinates.center[1] - clean.center[1]) < 0.05 * clean.scale[1]
    U = coordinates.to_coordinates(wild)
    assert 6 < abs(U[7, 1]) < 6 * (1 + np.log(1e202))
    np.testing.assert_allclose(coordinates.from_coordinates(U), wild, rtol=1e-9)


def test_no_row_is_farther_than_those_of_the_sample(table):
    wild = table.copy()
    wild[7, 1] = 1e5
    coordinates = columns(wild)
    ends = coordinates.from_coordinates(np.array([[-200.0] * 3, [200.0] * 3]))
    assert ends[1, 1] == pytest.approx(1e5)
    # On the other side, and in other columns, the end is 6 deviations away.
    steps = (ends - coordinates.center) / coordinates.scale
    np.testing.assert_allclose(steps[[0, 0, 0, 1, 1], [0, 1, 2, 0, 2]], [-6, -6, -6, 6, 6])


def test_one_cell_in_a_hundred_does_not_set_the_scale():
    rng = np.random.RandomState(0)
    X = rng.randn(1000, 4)
    wild = X.copy()
    wild[:10] = 1e4
    # 1 % of the cells are moved to the end of the interval, at 4.9 deviations or a little more: the variance is 1.25.
    np.testing.assert_allclose(columns(wild).scale / columns(X).scale, 1.12, atol=0.05)


def test_rare_values_have_a_scale():
    """A column with 97 % zeros: both quantiles are 0, and all cells count."""
    X = np.zeros((200, 1))
    X[:6] = 3.0
    coordinates = columns(X)
    np.testing.assert_allclose([coordinates.center, coordinates.scale], [X.mean(0), X.std(0)])


@pytest.mark.parametrize("value", [7.1, -1e250, 0.0])
def test_constant_columns_come_back_exactly_and_have_no_coordinate(table, value):
    X = np.insert(table, 1, value, axis=1)
    coordinates = columns(X)
    assert coordinates.n_axes == 3
    np.testing.assert_array_equal(coordinates.to_coordinates(X), columns(table).to_coordinates(table))
    back = coordinates.from_coordinates(np.random.RandomState(0).randn(50, 3))
    assert (back[:, 1] == value).all()
    # If no column varies, a network still has an output for each.
    constant = columns(X[:, [1, 1]])
    assert constant.n_axes == 2
    assert not constant.to_coordinates(X[:, [1, 1]]).any()
    assert (constant.from_coordinates(np.ones((5, 2))) == value).all()


def test_weights_are_repetitions(table):
    weight = np.random.RandomState(1).randint(1, 4, len(table))
    weighted = UnitCoordinates.of_columns(table, weight / weight.sum())
    repeated = columns(np.repeat(table, weight, axis=0))
    np.testing.assert_allclose(weighted.center, repeated.center)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_columns_may_have_their_own_ranges(table):
    coordinates = UnitCoordinates.bounded(table, axis=0)
    U = coordinates.to_coordinates(table)
    np.testing.assert_allclose([U.min(axis=0), U.max(axis=0)], [[-1] * 3, [1] * 3])
    np.testing.assert_allclose(coordinates.from_coordinates(U), table)


def test_distances_have_a_unit_only_if_columns_share_it(table):
    assert columns(table).unit == UnitCoordinates.bounded(table, axis=0).unit == 1
    coordinates = UnitCoordinates.standard(table, np.full(300, 1 / 300))
    assert coordinates.unit == coordinates.scale > 1000


def test_other_units_are_seen(table):
    coordinates = columns(table)
    assert not coordinates.differs(columns(table[::2])).any()
    for other in (table * [1, 1000, 1], table + np.array([0, 2, 0]), table * [1, 0, 1]):
        assert coordinates.differs(columns(other)).tolist() == [False, True, False]
