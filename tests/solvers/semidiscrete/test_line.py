"""The exact solution for one feature."""

import pytest
import torch

from sklearn_ot.solvers.semidiscrete import assign, semidiscrete_dual


@pytest.mark.parametrize("source", ["normal", "uniform"])
@pytest.mark.parametrize("cost", ["sqeuclidean", 1.5, 4.0])
def test_on_a_line_the_cells_end_at_quantiles(source, cost):
    points = torch.randn(40, 1, dtype=torch.float64)
    weights = torch.rand(40, dtype=torch.float64) + 0.2
    weights /= weights.sum()
    solution = semidiscrete_dual(source, points, weights, cost=cost)
    order = points[:, 0].argsort()
    ends = weights[order].cumsum(0)[:-1]
    quantiles = torch.special.ndtri(ends) if source == "normal" else ends
    # Just left of each quantile the previous point is the best, just right of it the next one.
    for side, expected in ((-1e-6, order[:-1]), (1e-6, order[1:])):
        index = assign(quantiles[:, None] + side, points, solution.potential, cost)
        assert (index == expected).all()
    assert solution.converged
    assert solution.n_empty == 0
    assert abs(float(weights @ solution.potential)) < 1e-12


def test_on_a_line_a_weight_may_vanish_beside_another():
    points, weights = torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 1e-20], dtype=torch.float64)
    solution = semidiscrete_dual("normal", points, weights)
    assert solution.potential.isfinite().all()
    assert (assign(torch.linspace(-5, 5, 11)[:, None], points, solution.potential) == 0).all()


def test_on_a_line_a_sampler_is_enough(normal, masses):
    points = torch.linspace(0, 1, 20)[:, None] ** 2
    solution = semidiscrete_dual(normal(1), points)
    assert solution.converged
    error = masses(normal(1), points, solution.potential) * 20 - 1
    # 100 000 test rows have an error of √(20 / 1e5) = 1.4 %, and so do the rows of the fit.
    assert error.square().mean().sqrt() < 0.03
