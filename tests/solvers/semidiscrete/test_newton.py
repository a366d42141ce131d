"""The Newton phase and its pools."""

import numpy as np
import pytest
import torch

from sklearn_ot.solvers.semidiscrete import semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._newton import Level, Pool
from sklearn_ot.solvers.semidiscrete._tiles import Tiles
from sklearn_ot.solvers.semidiscrete._units import Units


def test_a_pool_notices_when_its_candidates_miss_the_cells():
    points = torch.randn(300, 2, dtype=torch.float64)
    tiles = Tiles(Units(points, "sqeuclidean"))
    x = tiles.units.rows(torch.randn(5000, 2, dtype=torch.float64))
    offsets = -(tiles.units.points.square().sum(1) / 2).numpy()
    pool = Pool(tiles, x, np.full(300, 1 / 300), offsets)
    pool.refresh(offsets, 10)
    assert not pool.is_lost
    # Cells that are so far from their points are no candidates.
    far = 10 * np.random.RandomState(0).rand(300)
    pool.refresh(far, 10)
    assert pool.is_lost
    # It does not continue with them either.
    found, is_reached = pool.minimise(far, 0.1, Level(1.0, 10, 1e-6))
    assert not is_reached
    np.testing.assert_array_equal(found, far)


@pytest.mark.parametrize("cost", ["sqeuclidean", 1.5, 3.0])
def test_an_empty_cell_gets_its_mass(cost):
    """The step is exact: the cell gets the number of rows of its weight, and other offsets do not change."""
    points = torch.randn(40, 2, dtype=torch.float64)
    tiles = Tiles(Units(points, cost))
    x = tiles.units.rows(torch.randn(4000, 2, dtype=torch.float64))
    # All cells but one are those of the nearest point.
    is_squared = tiles.units.cost.is_squared
    offsets = -(tiles.units.points.square().sum(1) / 2).numpy() if is_squared else np.zeros(40)
    offsets[7] -= 100
    weights = np.full(40, 0.9 / 39)
    weights[7] = 0.1
    pool = Pool(tiles, x, weights, offsets)
    filled = pool.fill(offsets)
    assert (filled != offsets).nonzero()[0].tolist() == [7]
    filled[7] += 1e-12  # the last row that it takes is a tie
    cells = tiles.cells(x, torch.from_numpy(filled))
    assert (cells == 7).sum() == 400
    np.testing.assert_array_equal(pool.best, cells)


@pytest.mark.parametrize("cost", ["sqeuclidean", 1.5])
def test_the_gradient_and_the_hessian_are_those_of_the_dual(cost):
    points = torch.randn(12, 2, dtype=torch.float64)
    tiles = Tiles(Units(points, cost))
    x = tiles.units.rows(torch.randn(3000, 2, dtype=torch.float64))
    pool = Pool(tiles, x, np.full(12, 1 / 12), np.zeros(12))
    pool.refresh(np.zeros(12), 12)
    direction, epsilon, h = np.random.RandomState(0).randn(12), 0.3, 1e-4
    _, share = pool.dual(np.zeros(12), epsilon)
    (above, up), (below, down) = (pool.dual(t * direction, epsilon) for t in (h, -h))
    assert -pool.excess(share) @ direction == pytest.approx((above - below) / (2 * h), rel=1e-6)
    difference = (pool.excess(down) - pool.excess(up)) / (2 * h)
    # Shares below 0.3 % and rows with 99 % in one cell are left out of the Hessian.
    np.testing.assert_allclose(
        pool.hessian(share, epsilon) @ direction, difference, atol=0.02 * np.abs(difference).max()
    )


@pytest.mark.slow
def test_no_cell_stays_empty_among_thousands():
    """Four pools from 2¹⁷ rows on are enough; with an empty cell the slower average phase would follow."""
    generator = torch.Generator().manual_seed(0)
    solution = semidiscrete_dual("normal", torch.randn(5000, 2, generator=generator), tol=0.1, generator=generator)
    assert solution.converged
    assert solution.n_empty == 0
    assert solution.n_samples < 2**17 * (1 + 2 + 4 + 8) + 2**16  # and the rows before the first pool


def test_clustered_points_are_no_obstacle():
    centres = torch.cartesian_prod(*2 * [torch.arange(-4.0, 5.0, 2.0)])
    points = centres[torch.arange(1000) % 25] + 0.05 * torch.randn(1000, 2)
    assert semidiscrete_dual("normal", points, tol=0.1).converged
