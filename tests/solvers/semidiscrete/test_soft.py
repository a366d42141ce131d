"""The soft phase."""

import torch

from sklearn_ot.solvers import sources
from sklearn_ot.solvers.costs import read_cost
from sklearn_ot.solvers.semidiscrete._masses import read_weights
from sklearn_ot.solvers.semidiscrete._problem import Problem
from sklearn_ot.solvers.semidiscrete._soft import moment_offsets, soft


def test_it_is_as_long_as_its_temperature_has_to_fall():
    def error_and_rows(points):
        source, weights = sources.normal(points.shape[1]), read_weights(None, points)
        problem = Problem(source, points, weights, read_cost("sqeuclidean"), tol=0.1, max_samples=10**6)
        state = soft(problem)
        masses = problem.rows.masses(problem.rows.sample(100_000 // 26), state.offsets)
        return (masses / weights - 1).square().mean().sqrt(), state.n_rows

    # With about one row for each point in a step, the error is about a half. With four steps, which are enough for the
    # first problem, the error of the second would be 0.9.
    near, n_near = error_and_rows(torch.randn(400, 16))
    far, n_far = error_and_rows(3 * torch.randn(8, 8).repeat(50, 1) + 0.02 * torch.randn(400, 8))
    assert near < 0.6
    assert far < 0.7
    assert n_near < 0.6 * n_far


def test_it_begins_at_the_map_between_gaussians():
    """For a normal source and normal points, the start alone has small errors."""
    points = torch.randn(4000, 3) @ torch.tensor([[2.0, 0, 0], [1.0, 0.5, 0], [0, 0, 1.0]])
    problem = Problem(
        sources.normal(3), points, read_weights(None, points), read_cost("sqeuclidean"), tol=0.1, max_samples=10**6
    )
    # Groups of points along the longest axis have the right masses, although single cells do not.
    masses = problem.rows.masses(problem.rows.sample(20_000), moment_offsets(problem))
    groups = masses[points[:, 0].argsort()].view(10, 400).sum(1)
    torch.testing.assert_close(groups, torch.full((10,), 0.1, dtype=torch.float64), rtol=0.15, atol=0)
