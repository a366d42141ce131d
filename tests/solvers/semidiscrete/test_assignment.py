"""The map of a potential, its costs and its gap."""

import numpy as np
import pytest
import torch

from sklearn_ot.solvers.semidiscrete import assign, assignment_cost, assignment_gap, semidiscrete_dual, soft_assign

COSTS = ["sqeuclidean", "euclidean", "cityblock", 1.5, 3.0]


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n_points", [1, 2, 31, 33, 200])
def test_assign_is_the_argmin(cost, n_points, costs_by_hand):
    # In float64, because the smallest gap between two scores is about 1e-6.
    x, y = torch.randn(300, 3, dtype=torch.float64), torch.randn(n_points, 3, dtype=torch.float64) + 1
    potential = torch.randn(n_points, dtype=torch.float64)
    expected = np.argmin(costs_by_hand(x, y, cost) - potential.numpy(), axis=1)
    index = assign(x, y, potential, cost)
    np.testing.assert_array_equal(index, expected)
    by_hand = costs_by_hand(x, y, cost)[np.arange(300), expected]
    np.testing.assert_allclose(assignment_cost(x, y, index, cost), by_hand, rtol=1e-10)


def test_assign_survives_an_offset_that_is_large_beside_the_spread():
    x, y = torch.randn(100, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    potential = torch.rand(50, dtype=torch.float64)
    # The squares of the coordinates are 1e16, the differences of scores 1e-2.
    shifted = assign(x + 1e8, y + 1e8, potential)
    assert (shifted == assign(x, y, potential)).float().mean() > 0.98


def test_on_a_line_float32_is_enough_for_many_points():
    points = torch.randn(10_000, 1)
    potential = semidiscrete_dual("normal", points).potential
    middles = torch.special.ndtri((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000)[:, None]
    # The smallest cells have a width of 2.5e-4, more than a thousand times the precision of float32.
    assert (assign(middles.float(), points, potential) == points[:, 0].argsort()).all()
    # A low temperature has the same images, in the units of the data.
    soft = soft_assign(middles.float(), points, potential, 1e-12)
    torch.testing.assert_close(soft, points.sort(0).values, rtol=1e-6, atol=1e-9)
    by_double = assignment_gap(middles, points.double(), potential)
    assert assignment_gap(middles.float(), points, potential) == pytest.approx(by_double, rel=1e-3)


def test_equal_points_have_the_gap_of_one():
    x, points, potential = torch.randn(100, 2), torch.randn(30, 2), torch.rand(30)
    gap = assignment_gap(x, points, potential)
    assert gap > 0
    assert assignment_gap(x, points.repeat(2, 1), potential.repeat(2)) == pytest.approx(gap)
    assert assignment_gap(x, points[:1].repeat(2, 1), potential[:1].repeat(2)) == 0
