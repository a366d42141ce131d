"""The coordinates of the solver."""

import pytest
import torch

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._units import Units, location

ALL = ["sqeuclidean", "euclidean", "cityblock", 3.0, Cost(lambda z: z.abs().amax(-1), power=1)]


def name_of(cost):
    return "Cost" if isinstance(cost, Cost) else str(cost)  # the repr of a Cost has the address of a function


@pytest.fixture
def data():
    return torch.randn(50, 3, dtype=torch.float64), 2 * torch.randn(20, 3, dtype=torch.float64) + 1


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_scores_are_those_of_the_definition_up_to_a_number_of_each_row(data, cost):
    x, points = data
    units = Units(points, cost, location(x))
    potential = torch.randn(20, dtype=torch.float64)
    scores = units.scores(units.rows(x), units.offsets(potential)) * units.unit
    expected = potential - units.cost.pairwise(x, points)
    torch.testing.assert_close(scores - scores[:, :1], expected - expected[:, :1])


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_potentials_come_back(data, cost):
    x, points = data
    units, weights = Units(points, cost, location(x)), torch.rand(20, dtype=torch.float64)
    weights /= weights.sum()
    potential = torch.randn(20, dtype=torch.float64)
    torch.testing.assert_close(units.potential(units.offsets(potential), weights), potential - weights @ potential)


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_the_units_and_the_origin_of_the_data_do_not_matter(data, cost):
    x, points = data
    units = Units(points, cost, location(x))
    moved = Units(1000 * points + 5, cost, location(1000 * x + 5))
    torch.testing.assert_close(moved.points, units.points)
    torch.testing.assert_close(moved.rows(1000 * x + 5), units.rows(x))
    assert moved.unit == pytest.approx(1000**units.cost.power * units.unit)


def test_on_a_line_all_is_float64():
    assert Units(torch.randn(5, 1), "sqeuclidean", dtype=torch.float32).points.dtype == torch.float64
    assert Units(torch.randn(5, 2), "sqeuclidean").points.dtype == torch.float32


def test_points_and_sources_without_extension_have_finite_scores():
    points = torch.ones(3, 2)
    for source in (None, location(torch.zeros(4, 2)), location(torch.randn(4, 2))):
        for cost in ("sqeuclidean", "euclidean"):
            units = Units(points, cost, source)
            assert units.scores(units.rows(torch.randn(5, 2)), torch.zeros(3)).isfinite().all()
