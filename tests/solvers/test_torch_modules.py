"""Coordinates and affine maps as torch modules: they agree with the arrays in float64, also after float32."""

import numpy as np
import pytest
import torch

from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.stationary import stationary_map
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates
from sklearn_ot.solvers.units import UnitCoordinates

RNG = np.random.RandomState(0)
WIDE, TALL = (10, 40), (200, 4)
EVEN = np.full(50, 1 / 50)
# A column far from 0, one with a far cell, a constant one, and the last one constant.
TABLE = RNG.randn(50, 5) * [1, 1e-3, 0, 3, 0] + [1e6, 0, 2, 0, 7]
TABLE[0, 3] = 1e4


def agrees(module, function, rows):
    """Whether a module gives the results of a function of arrays, up to sums in another order."""
    # Constants must keep their digits in float32 and back.
    found = module.float().double()(torch.as_tensor(rows)).numpy()
    expected = function(rows)
    return np.allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max(initial=1))


@pytest.mark.parametrize(
    "units",
    [
        UnitCoordinates.of_columns(TABLE, EVEN),
        UnitCoordinates.standard(TABLE, EVEN),
        UnitCoordinates.bounded(TABLE),
        UnitCoordinates.bounded(TABLE, axis=0),
        UnitCoordinates.of_columns(np.ones((50, 2)), EVEN),
        UnitCoordinates.of_columns(TABLE[:, :2], EVEN),
    ],
)
def test_units(units):
    rows = TABLE[:, : len(units.center)] * 1.1
    assert agrees(units.to_torch("to_coordinates"), units.to_coordinates, rows)
    # Beyond the limits, and in the bend.
    coordinates = np.linspace(-30, 30, 20 * units.n_axes).reshape(20, -1)
    assert agrees(units.to_torch("from_coordinates"), units.from_coordinates, coordinates)


@pytest.mark.parametrize("shape", [WIDE, TALL])
def test_gaussian_maps_and_balanced_coordinates(shape):
    source, target = RNG.randn(*shape), 3 * RNG.randn(*shape) @ np.diag(np.linspace(1, 2, shape[1])) + 5
    gaussian = sample_gaussian_map(Sample.of(source), Sample.of(target), "auto")
    assert agrees(gaussian.to_torch(), gaussian.transport, source)
    assert agrees(gaussian.to_torch(inverse=True), gaussian.inverse, target)
    coordinates = BalancedCoordinates.balance(gaussian)
    for name in ("of_source", "of_target", "to_source", "to_target"):
        module = coordinates.to_torch(name)
        assert agrees(module, getattr(coordinates, name), source)
        # A map of a tall sample has a matrix of all columns, and one of a wide sample has none.
        largest = max(buffer.numel() for buffer in module.buffers())
        assert largest <= shape[1] * min(shape[1], 2 * shape[0])


def test_maps_and_coordinates_of_pictures():
    source, target = RNG.randn(40, 5 * 6 * 2), RNG.rand(40, 5 * 6 * 2)
    samples = Sample.of(source), Sample.of(target)
    stationary = stationary_map(*samples, (5, 6, 2))
    assert agrees(stationary.to_torch(), stationary.transport, source)
    assert agrees(stationary.to_torch(inverse=True), stationary.inverse, target)
    coordinates = StationaryCoordinates.balance(stationary, *samples)
    for name in ("of_source", "of_target", "to_source", "to_target"):
        assert agrees(coordinates.to_torch(name), getattr(coordinates, name), source)
    assert max(buffer.numel() for buffer in stationary.to_torch().buffers()) == 5 * 6 * 2 * 2
