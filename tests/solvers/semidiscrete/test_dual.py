"""The solver as a whole."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy import stats

from sklearn_ot.solvers import sources
from sklearn_ot.solvers.semidiscrete import assign, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._masses import MassTest


@pytest.mark.parametrize("n_features", [2, 5])
def test_symmetric_points_have_equal_potentials(n_features):
    points = torch.cat([torch.eye(n_features), -torch.eye(n_features)])
    solution = semidiscrete_dual("normal", points, tol=0.02)
    assert solution.converged
    # The relative mass of a cell changes about as much as ψ, and the largest of 10 errors is about two rms.
    assert solution.potential.abs().max() < 0.06


@pytest.mark.parametrize("weight", [0.5, 0.8])
def test_normal_to_two_points(weight):
    # The boundary is the hyperplane at the quantile of the first weight, on the axis through the points.
    points = torch.tensor([[-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    weights = torch.tensor([weight, 1 - weight], dtype=torch.float64)
    solution = semidiscrete_dual("normal", points, weights, tol=0.01)
    # |x + e|² - ψ₀ = |x - e|² - ψ₁ where 4 x₀ = ψ₀ - ψ₁.
    boundary = float(solution.potential[0] - solution.potential[1]) / 4
    assert boundary == pytest.approx(stats.norm.ppf(weight), abs=0.02)
    assert float(weights @ solution.potential) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("n_points", "n_features", "cost"),
    [
        (60, 2, "sqeuclidean"),
        (60, 3, "sqeuclidean"),
        (60, 8, "sqeuclidean"),
        (40, 300, "sqeuclidean"),
        (60, 6, "euclidean"),
        (60, 4, 1.5),
    ],
)
def test_masses_are_the_weights(n_points, n_features, cost, normal, masses):
    points, weights = 2 * torch.randn(n_points, n_features) + 1, torch.rand(n_points, dtype=torch.float64) + 0.1
    weights /= weights.sum()
    solution = semidiscrete_dual("normal", points, weights, cost=cost, tol=0.08)
    assert solution.converged
    error = masses(normal(n_features), points, solution.potential, cost) / weights - 1
    # The test of the solver can have an error of a quarter, and these rows add 3 %.
    assert error.square().mean().sqrt() < 0.11
    assert solution.mass_error == pytest.approx(float(error.square().mean().sqrt()), abs=0.05)


@pytest.mark.parametrize("n_features", [2, 5])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing_else(n_features, scale, normal):
    points = torch.randn(50, n_features)

    def solve(scale):
        torch.manual_seed(1)
        return semidiscrete_dual(normal(n_features, scale), scale * points, tol=0.1)

    reference, solution = solve(1.0), solve(scale)
    assert solution.n_samples == reference.n_samples
    # Powers of ten are rounded in float32; the offsets are of order 1, and a row in another cell is 1 / n of the mass.
    torch.testing.assert_close(solution.potential / scale**2, reference.potential, rtol=0, atol=1e-3)


def test_a_shift_of_both_sides_changes_nothing(normal):
    points = torch.randn(50, 2, dtype=torch.float64)
    torch.manual_seed(1)
    reference = semidiscrete_dual(normal(2, dtype=torch.float64), points, tol=0.1)
    torch.manual_seed(1)
    shifted = semidiscrete_dual(normal(2, shift=1e4, dtype=torch.float64), points + 1e4, tol=0.1)
    torch.testing.assert_close(shifted.potential, reference.potential, rtol=0, atol=1e-3)


def test_a_shift_of_the_source_adds_a_linear_function(normal):
    # |x + s - y|² = |x - y|² + 2 ⟨s, x - y⟩ + |s|²: ψ gains - 2 ⟨s, y⟩ up to a constant.
    points, shift = torch.randn(50, 2), torch.tensor([3.0, -1.0])
    torch.manual_seed(1)
    reference = semidiscrete_dual(normal(2), points, tol=0.05).potential
    torch.manual_seed(1)
    shifted = semidiscrete_dual(normal(2, shift=shift), points, tol=0.05).potential
    linear = -2 * points.double() @ shift.double()
    torch.testing.assert_close(shifted, reference + linear - linear.mean(), rtol=0, atol=0.02)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "cityblock", 3.0])
def test_a_small_discrete_source_agrees_with_the_exact_plan(cost, costs_by_hand):
    rows, points = torch.randn(400, 2), torch.randn(12, 2)
    exact = ot.emd2([], [], costs_by_hand(rows, points, cost))
    solution = semidiscrete_dual(sources.rows(rows), points, cost=cost, tol=0.05, max_samples=50_000)
    value = (costs_by_hand(rows, points, cost) - solution.potential.numpy()).min(axis=1).mean()
    # The dual value is too small by about the square of the error of the masses, 1 % of the cost.
    assert value == pytest.approx(exact, rel=0.02)
    assert value <= exact * (1 + 1e-6)


def test_euclidean_agrees_with_a_refinement_by_linear_programs(costs_by_hand):
    points = torch.rand(20, 2, dtype=torch.float64)
    weights = torch.rand(20, dtype=torch.float64) + 0.5
    weights /= weights.sum()
    solution = semidiscrete_dual("uniform", points, weights, cost="euclidean", tol=0.02)
    side = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    grid = torch.cartesian_prod(side, side)
    plan, log = ot.emd(
        np.full(len(grid), 1 / len(grid)), weights.numpy(), costs_by_hand(grid, points, "euclidean"), log=True
    )
    reduced = costs_by_hand(grid, points, "euclidean") - solution.potential.numpy()
    # The grid points are within 1/128 of the points of the square, and the plan changes to first order with them.
    assert reduced.min(axis=1).mean() == pytest.approx(log["cost"], rel=0.01)
    # Most rows are sent to the point of the exact plan; each cell has 200 rows, of which a sixth are next to a
    # boundary.
    index = assign(grid, points, solution.potential, "euclidean").numpy()
    assert plan[np.arange(len(grid)), index].sum() > 0.95


def test_equal_points_are_one_point(normal, masses):
    points = torch.randn(30, 2)
    doubled = torch.cat([points, points[:10]])
    solution = semidiscrete_dual("normal", doubled, tol=0.05)
    assert solution.converged
    assert torch.equal(solution.potential[30:], solution.potential[:10])
    mass = masses(normal(2), points, solution.potential[:30])
    expected = torch.full((30,), 1 / 40, dtype=torch.float64)
    expected[:10] *= 2
    assert ((mass / expected - 1).square().mean().sqrt()) < 0.08


def test_one_point_takes_everything():
    solution = semidiscrete_dual("normal", torch.ones(1, 3))
    assert solution.converged
    assert solution.potential.tolist() == [0.0]


def test_a_warm_start_is_cheaper():
    points = torch.randn(100, 6)
    cold = semidiscrete_dual("normal", points, tol=0.1)
    again = semidiscrete_dual("normal", points, tol=0.2, start=cold.potential)
    # The start is good enough and does not change.
    assert again.n_samples == 0
    assert again.converged
    torch.testing.assert_close(again.potential, cold.potential, rtol=1e-6, atol=1e-6)
    moved = points + 0.02 * torch.randn_like(points)
    warm = semidiscrete_dual("normal", moved, tol=0.1, start=cold.potential)
    cold_again = semidiscrete_dual("normal", moved, tol=0.1)
    assert warm.converged
    assert warm.n_samples < cold_again.n_samples


@pytest.mark.parametrize("n_features", [2, 4])
def test_a_start_with_the_error_0_and_an_empty_cell_is_improved(n_features, monkeypatch):
    measure, results = MassTest.__call__, [(0.0, 0), (0.0, 1)]
    # The first two tests are those of the start.
    monkeypatch.setattr(MassTest, "__call__", lambda *args: results.pop(0) if results else measure(*args))
    points = torch.randn(50, n_features)
    solution = semidiscrete_dual("normal", points, tol=0.1, start=points.square().sum(1))
    assert solution.converged
    assert solution.n_samples > 0


@pytest.mark.parametrize("n_features", [2, 4])
@pytest.mark.parametrize("size", [1, 100, 1e6])
def test_a_bad_start_does_no_harm(n_features, size, monkeypatch):
    measure = MassTest.__call__

    def without_a_trace(test, rows, *args):
        state = rows.state()
        with torch.random.fork_rng():
            result = measure(test, rows, *args)
        rows.load_state(state)
        return result

    # With other rows a fit may need ten times as many. A bad start costs the rows of its test and nothing else: if
    # tests leave no trace, the fit has the rows of one without a start, and its result.
    monkeypatch.setattr(MassTest, "__call__", without_a_trace)
    points, start = torch.randn(50, n_features), size * torch.randn(50)

    def solve(start):
        torch.manual_seed(1)
        return semidiscrete_dual("normal", points, tol=0.1, start=start)

    solution, cold = solve(start), solve(None)
    assert solution.converged
    assert torch.equal(solution.potential, cold.potential)
    assert solution[1:] == cold[1:]


def test_callback_sees_progress_and_ends_the_fit():
    seen = []

    def callback(potential, n_samples):
        seen.append((potential, n_samples))
        return len(seen) == 3

    points = torch.randn(100, 6)
    solution = semidiscrete_dual("normal", points, tol=0.01, callback=callback)
    assert len(seen) == 3
    assert not solution.converged
    assert solution.n_samples == seen[-1][1]
    assert torch.equal(solution.potential, seen[-1][0])
    assert all(potential.shape == (100,) for potential, _ in seen)


def test_samples_are_bounded_and_the_floor_is_theirs():
    points = torch.randn(100, 6)
    solution = semidiscrete_dual("normal", points, tol=0.01, max_samples=10_000)
    assert not solution.converged
    # The last batch, of 180 rows, may exceed the limit.
    assert solution.n_samples <= 10_000 + 180
    assert solution.mass_error_floor == pytest.approx(math.sqrt(100 / solution.n_samples))
    # The error of averaging is little above that of counting.
    assert solution.mass_error < 1.6 * solution.mass_error_floor


def test_the_same_generator_gives_the_same_potential():
    points = torch.randn(30, 2)
    first, second = (
        semidiscrete_dual("normal", points, tol=0.1, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first.potential, second.potential)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "cauchy"}, "source must be"),
        ({"cost": "cosine"}, "cost must be"),
        ({"cost": 0.5}, "cost must be"),
        ({"tol": 0.0}, "tol must be"),
        ({"weights": torch.ones(5)}, "sum 1"),
        ({"weights": torch.full((4,), 0.25)}, r"weights has shape \(4,\), but points has 5 rows"),
        ({"weights": torch.tensor([0.0, 0.25, 0.25, 0.25, 0.25])}, "positive numbers"),
        ({"weights": torch.tensor([-0.5, 0.5, 0.5, 0.25, 0.25])}, "weights has a negative weight"),
        ({"weights": torch.tensor([torch.nan, 0.25, 0.25, 0.25, 0.25])}, "weights contains NaN"),
        ({"start": torch.zeros(4)}, "one number per point"),
        ({"points": torch.zeros(5)}, "shape"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        semidiscrete_dual(**{"source": "normal", "points": torch.randn(5, 2), **arguments})
