import math

import numpy as np
import ot
import pytest
import torch
from scipy import integrate, stats

from sklearn_ot.solvers import sources
from sklearn_ot.solvers.semidiscrete import (
    assign,
    assignment_cost,
    assignment_gap,
    primal_dual_interval,
    semidiscrete_dual,
    soft_assign,
)
from sklearn_ot.solvers.sources import Source

COSTS = ["sqeuclidean", "euclidean", "cityblock", 1.5, 3.0]


@pytest.fixture(autouse=True)
def one_thread_one_seed():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(n_threads)


def normal(n_features, scale=1.0, shift=0.0, dtype=torch.float32):
    """A source of which no more is known than its rows."""
    return Source(lambda n: scale * torch.randn(n, n_features, dtype=dtype) + shift)


def costs_by_hand(x, y, cost):
    difference = np.abs(x.numpy()[:, None] - y.numpy()[None])
    if cost == "cityblock":
        return difference.sum(-1)
    return np.sqrt((difference**2).sum(-1)) ** {"sqeuclidean": 2, "euclidean": 1}.get(cost, cost)


def masses(source, points, potential, cost="sqeuclidean", n_samples=100_000):
    index = assign(source.sample(n_samples), points, potential, cost)
    return torch.bincount(index, minlength=len(points)).double() / n_samples


# Assignments.


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("n_points", [1, 2, 31, 33, 200])
def test_assign_is_the_argmin(cost, n_points):
    # In float64: the smallest of the gaps between two scores is about 1e-6.
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
    # The narrowest cells are 2.5e-4 wide, which float32 divides into a thousand parts and more.
    assert (assign(middles.float(), points, potential) == points[:, 0].argsort()).all()
    # A cold temperature does as well, and comes back from the units of the scores.
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


def test_tiles_do_not_change_the_assignment(monkeypatch):
    from sklearn_ot.solvers.semidiscrete import _scores

    x, y, potential = torch.randn(1000, 4), torch.randn(70, 4), torch.randn(70)
    whole = assign(x, y, potential)
    monkeypatch.setattr(_scores, "MAX_TILE", 96 * 7)
    assert (assign(x, y, potential) == whole).all()


# The dual.


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
    # Just left of each quantile the point before it is best, just right of it the next one.
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


def test_on_a_line_a_sampler_is_enough():
    points = torch.linspace(0, 1, 20)[:, None] ** 2
    solution = semidiscrete_dual(normal(1), points)
    assert solution.converged
    error = masses(normal(1), points, solution.potential) * 20 - 1
    # 100 000 test rows: √(20 / 1e5) = 1.4 %, and as much from the rows of the fit.
    assert error.square().mean().sqrt() < 0.03


@pytest.mark.parametrize("n_features", [2, 5])
def test_symmetric_points_have_equal_potentials(n_features):
    points = torch.cat([torch.eye(n_features), -torch.eye(n_features)])
    solution = semidiscrete_dual("normal", points, tol=0.02)
    assert solution.converged
    # A cell's mass in units of its weight changes about as ψ does, and the largest of 10 errors is two rms.
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
def test_masses_are_the_weights(n_points, n_features, cost):
    points, weights = 2 * torch.randn(n_points, n_features) + 1, torch.rand(n_points, dtype=torch.float64) + 0.1
    weights /= weights.sum()
    solution = semidiscrete_dual("normal", points, weights, cost=cost, tol=0.08)
    assert solution.converged
    error = masses(normal(n_features), points, solution.potential, cost) / weights - 1
    # The solver's own test may err by a quarter, and this one's rows add 3 %.
    assert error.square().mean().sqrt() < 0.11
    assert solution.mass_error == pytest.approx(float(error.square().mean().sqrt()), abs=0.05)


@pytest.mark.parametrize("n_features", [2, 5])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing_else(n_features, scale):
    points = torch.randn(50, n_features)

    def solve(scale):
        torch.manual_seed(1)
        return semidiscrete_dual(normal(n_features, scale), scale * points, tol=0.1)

    reference, solution = solve(1.0), solve(scale)
    assert solution.n_samples == reference.n_samples
    # Powers of ten are rounded in float32; the offsets are of order 1 and a stray row is 1 / n of the mass.
    torch.testing.assert_close(solution.potential / scale**2, reference.potential, rtol=0, atol=1e-3)


def test_a_shift_of_both_sides_changes_nothing():
    points = torch.randn(50, 2, dtype=torch.float64)
    torch.manual_seed(1)
    reference = semidiscrete_dual(normal(2, dtype=torch.float64), points, tol=0.1)
    torch.manual_seed(1)
    shifted = semidiscrete_dual(normal(2, shift=1e4, dtype=torch.float64), points + 1e4, tol=0.1)
    torch.testing.assert_close(shifted.potential, reference.potential, rtol=0, atol=1e-3)


def test_a_shift_of_the_source_adds_a_linear_function():
    # |x + s - y|² = |x - y|² + 2 ⟨s, x - y⟩ + |s|²: ψ gains - 2 ⟨s, y⟩ up to a constant.
    points, shift = torch.randn(50, 2), torch.tensor([3.0, -1.0])
    torch.manual_seed(1)
    reference = semidiscrete_dual(normal(2), points, tol=0.05).potential
    torch.manual_seed(1)
    shifted = semidiscrete_dual(normal(2, shift=shift), points, tol=0.05).potential
    linear = -2 * points.double() @ shift.double()
    torch.testing.assert_close(shifted, reference + linear - linear.mean(), rtol=0, atol=0.02)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "cityblock", 3.0])
def test_a_small_discrete_source_agrees_with_the_exact_plan(cost):
    rows, points = torch.randn(400, 2), torch.randn(12, 2)
    exact = ot.emd2([], [], costs_by_hand(rows, points, cost))
    solution = semidiscrete_dual(sources.rows(rows), points, cost=cost, tol=0.05, max_samples=50_000)
    value = (costs_by_hand(rows, points, cost) - solution.potential.numpy()).min(axis=1).mean()
    # The dual value falls short by the square of the error of the masses, about 1 % of the cost.
    assert value == pytest.approx(exact, rel=0.02)
    assert value <= exact * (1 + 1e-6)


def test_euclidean_agrees_with_a_refinement_by_linear_programs():
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
    # The grid is within 1/128 of the square, and the plan is first-order stable in it.
    assert reduced.min(axis=1).mean() == pytest.approx(log["cost"], rel=0.01)
    # Most rows go where the exact plan sends them; each cell has 200, of which a sixth are next to a boundary.
    index = assign(grid, points, solution.potential, "euclidean").numpy()
    assert plan[np.arange(len(grid)), index].sum() > 0.95


def test_equal_points_are_one_point():
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
    # Good enough as it is.
    assert again.n_samples == 0
    assert again.converged
    torch.testing.assert_close(again.potential, cold.potential, rtol=1e-6, atol=1e-6)
    moved = points + 0.02 * torch.randn_like(points)
    warm = semidiscrete_dual("normal", moved, tol=0.1, start=cold.potential)
    cold_again = semidiscrete_dual("normal", moved, tol=0.1)
    assert warm.converged
    assert warm.n_samples < cold_again.n_samples


@pytest.mark.parametrize(
    "weights",
    [np.exp(np.random.RandomState(0).standard_normal(50)), np.arange(1, 51.0) ** -2],
    ids=["lognormal", "1/k²"],
)
def test_light_cells_get_their_masses(weights):
    points, weights = torch.randn(50, 4), torch.from_numpy(weights / weights.sum())
    solution = semidiscrete_dual("normal", points, weights, tol=0.05)
    assert solution.converged
    assert solution.n_empty == 0
    error = masses(normal(4), points, solution.potential, n_samples=1_000_000) / weights - 1
    # The test of 1/k² may err by as much as tol, and these rows add a root mean square of 4 %.
    assert error.square().mean().sqrt() < 0.1


@pytest.mark.parametrize("n_features", [1, 2, 4])
@pytest.mark.parametrize("source", ["name", "sampler"])
def test_a_weight_that_no_test_can_see_is_left_out(n_features, source):
    points, weights = torch.randn(20, n_features), torch.ones(20, dtype=torch.float64)
    weights[3] = 1e-5
    source = "normal" if source == "name" else normal(n_features)
    solution = semidiscrete_dual(source, points, weights / weights.sum())
    assert solution.converged
    assert solution.n_empty == 0
    # The fit does not run into its bound of a million for it.
    assert solution.n_samples < 250_000


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
def test_the_test_of_the_masses_is_as_sharp_as_tol(spread):
    from sklearn_ot.solvers.semidiscrete._dual import visible_cells

    rng, tol = np.random.RandomState(0), 0.1
    weights = np.exp(spread * rng.standard_normal(100))
    weights /= weights.sum()
    visible, n_rows = (np.asarray(part) for part in visible_cells(torch.from_numpy(weights), tol))
    masses = weights * (1 + tol * rng.choice([-1, 1], 100))
    masses /= masses.sum()
    halves = rng.multinomial(n_rows // 2, masses, (500, 2)) / (n_rows // 2)
    ratio = (halves / weights - 1)[..., visible]
    squares = (ratio[:, 0] * ratio[:, 1]).mean(1)
    assert squares.std() < 0.25 * tol**2
    # Only the lightest are left out, if any.
    assert visible.sum() >= (95 if spread == 2 else 100)
    assert (weights[~visible] <= weights[visible].min()).all()


@pytest.mark.parametrize("n_features", [2, 4])
@pytest.mark.parametrize("size", [1, 100, 1e6])
def test_a_bad_start_does_no_harm(n_features, size):
    points = torch.randn(50, n_features)
    cold = semidiscrete_dual("normal", points, tol=0.1)
    solution = semidiscrete_dual("normal", points, tol=0.1, start=size * torch.randn(50))
    assert solution.converged
    # Tests come in steps of 1.3, and pools of 2.
    assert solution.n_samples <= 2 * cold.n_samples


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
    # The last batch, of 180 rows, may pass the bound.
    assert solution.n_samples <= 10_000 + 180
    assert solution.mass_error_floor == pytest.approx(math.sqrt(100 / solution.n_samples))
    # Below the bound of RECIPES' prototype: averaging leaves little above the error of counting.
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
        ({"weights": torch.full((4,), 0.25)}, "5 positive numbers"),
        ({"start": torch.zeros(4)}, "one number per point"),
        ({"points": torch.zeros(5)}, "shape"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        semidiscrete_dual(**{"source": "normal", "points": torch.randn(5, 2), **arguments})


@pytest.mark.parametrize("n", [60, 27, 4])
def test_turned_scores_are_those_of_turned_frames(n):
    from scipy import stats

    from sklearn_ot.solvers.semidiscrete._scores import Scores, frame

    points, h = torch.randn(40, 6, dtype=torch.float64), torch.randn(40, dtype=torch.float64)
    scores = Scores(points, "sqeuclidean", "normal")
    x = scores.rows(torch.randn(n, 6, dtype=torch.float64))
    tiles = [tile * scale for tile, scale in scores.turned_tiles(x, h)]
    rows = [torch.linalg.lstsq(scores.points, (tile - h).T).solution.T for tile in tiles]
    directions, lengths = frame(x), []
    for i, (row, opposite) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        if i:
            # Rows beyond a multiple of four are left out.
            fours = -directions[: n // 4 * 4].view(4, -1, 6).transpose(0, 1)
            directions = (2 * fours.mean(1, keepdim=True) - fours).flatten(0, 1)
        for turned, sign in ((row, 1), (opposite, -1)):
            lengths.append(float((turned * directions).sum() / directions.square().sum()) * sign)
            torch.testing.assert_close(turned, sign * lengths[-1] * directions)
    # Those of the second sign and of the next turn are the same, of all turns one in each part of the distribution.
    np.testing.assert_allclose(lengths[1:-1:2], lengths[2::2])
    level = stats.chi(max(n, 6)).cdf(np.array([lengths[0], *lengths[1::2]]) * math.sqrt(6))
    np.testing.assert_allclose(np.diff(np.sort(level)), 1 / len(level), rtol=1e-6)
    # Nothing is known of a source that is only a function, and other costs are no products.
    for other in (Scores(points, "sqeuclidean", torch.randn(100, 6)), Scores(points, 1.5, "normal")):
        assert len(list(other.turned_tiles(x, h))) == other.rows_worth == 1


@pytest.mark.parametrize("n_points", [1000, 2048])
def test_no_turn_brings_rows_back(n_points):
    from sklearn_ot.solvers.semidiscrete._scores import N_TURNS, Scores, doubly_reflected

    scores = Scores(torch.randn(n_points, 4), "sqeuclidean", "normal")
    n = next(iter(scores.tiles(10**6))).stop
    turns = [torch.eye(n)]
    for _ in range(N_TURNS):
        turns.append(doubly_reflected(turns[-1], torch.empty(n // 4, n), torch.empty(n, n)) / 2)
    torch.testing.assert_close(turns[-1] @ turns[-1].T, torch.eye(n))
    # Cosines between a row of one turn and one of another: after one turn they are at most a half.
    assert all((a @ b.T).abs().max() < 0.5 + 1e-5 for i, a in enumerate(turns) for b in turns[:i])


@pytest.mark.parametrize("shape", [(20, 4), (4, 4), (3, 7), (5, 1)])
def test_a_frame_is_orthonormal_and_uniform(shape):
    from sklearn_ot.solvers.semidiscrete._scores import frame

    frames = torch.stack([frame(torch.randn(shape, dtype=torch.float64)) for _ in range(3000)])
    square = frames if shape[0] < shape[1] else frames.mT
    torch.testing.assert_close(square @ square.mT, torch.eye(min(shape), dtype=torch.float64).expand(3000, -1, -1))
    # Uniform, so that no entry prefers a sign; five standard errors.
    assert frames.sign().mean(0).abs().max() < 5 / math.sqrt(3000)


@pytest.mark.parametrize("n", [1, 2, 7, 4000])
@pytest.mark.parametrize("n_features", [1, 3, 20])
def test_masses_of_turned_rows_are_those_of_independent_ones(n_features, n):
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    points, potential = 2 * torch.randn(20, n_features), torch.randn(20, dtype=torch.float64)
    n_calls = max(4, 2000 // n)
    masses = []
    for source in ("normal", torch.randn(1000, n_features)):
        scores = Scores(points, "sqeuclidean", source)
        h = scores.offsets(potential)
        parts = [scores.masses(scores.rows(torch.randn(n, n_features)), h) for _ in range(n_calls)]
        masses.append(torch.stack(parts).mean(0))
    # Five standard errors of two samples; those of the turned rows are smaller.
    n_rows = n * n_calls
    assert ((masses[0] - masses[1]).abs() <= 5 * (2 * masses[1].clamp_min(1 / n_rows) / n_rows).sqrt()).all()


@pytest.mark.parametrize(("n_points", "n_features"), [(20, 20), (300, 8)])
def test_turned_rows_are_worth_as_many_as_said(n_points, n_features):
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    points, n = torch.randn(n_points, n_features), 144
    scores = Scores(points, "sqeuclidean", "normal")
    h = scores.offsets(torch.zeros(n_points))
    masses = torch.stack([scores.masses(scores.rows(torch.randn(n, n_features)), h) for _ in range(200)])
    heavy = masses.mean(0) > 0.3 / n_points
    # The variance of 200 numbers is known up to a tenth, and the mean of many cells better.
    variance, mean = masses[:, heavy].var(0), masses[:, heavy].mean(0)
    assert (variance / (mean * (1 - mean) / n)).mean() < 1.05 / scores.rows_worth


@pytest.mark.parametrize("source", ["normal", torch.ones(1, 5)])
def test_soft_masses_are_means_of_softmax(source):
    from sklearn_ot.solvers.semidiscrete._ascent import soft_masses
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    points, x, h = torch.randn(3000, 5), torch.randn(24, 5), torch.randn(3000, dtype=torch.float64)
    # Two that see the same rows, as each turn of a frame has lengths of its own.
    first, second = (Scores(points, "sqeuclidean", source) for _ in range(2))
    tiles = torch.cat([tile.double() * scale for tile, scale in first.turned_tiles(x, h)])
    masses = soft_masses(second, x, h, [torch.tensor(0.3), torch.tensor(0.01)])
    for mass, epsilon in zip(masses, (0.3, 0.01), strict=True):
        torch.testing.assert_close(mass, torch.softmax(tiles / epsilon, 1).mean(0), rtol=2e-4, atol=1e-8)


def test_the_soft_phase_is_as_long_as_its_temperature_has_to_fall():
    from sklearn_ot.solvers.semidiscrete._ascent import soft_ascent
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    def error_and_rows(points):
        scores, weights = Scores(points, "sqeuclidean", "normal"), torch.full((len(points),), 1 / len(points)).double()
        start = -(scores.points.double().square().sum(1)) / 2
        h, _, n_rows = soft_ascent(scores, lambda n: scores.rows(torch.randn(n, points.shape[1])), weights, start)
        x = scores.rows(torch.randn(100_000, points.shape[1]))
        return (scores.masses(x, h) / weights - 1).square().mean().sqrt(), n_rows

    # About one row for each point and step leaves errors of half the masses. As few steps as the first needs, four,
    # would leave 0.9 of the second.
    near, n_near = error_and_rows(torch.randn(400, 16))
    far, n_far = error_and_rows(3 * torch.randn(8, 8).repeat(50, 1) + 0.02 * torch.randn(400, 8))
    assert near < 0.6
    assert far < 0.7
    assert n_near < n_far / 2


def test_the_two_best_scores_of_a_row():
    from sklearn_ot.solvers.semidiscrete._scores import Scores, best_gaps

    points, x, h = torch.randn(70, 4), torch.randn(500, 4), torch.randn(70, dtype=torch.float64)
    for cost in ("sqeuclidean", "euclidean"):
        scores = Scores(points, cost)
        best, second = scores.tile(x, h).topk(2, dim=1).values.T
        torch.testing.assert_close(best_gaps(scores, x, h), best - second)


def test_a_pool_tells_when_its_candidates_miss_the_cells():
    from sklearn_ot.solvers.semidiscrete._newton import Pool
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    points = torch.randn(300, 2, dtype=torch.float64)
    scores = Scores(points, "sqeuclidean", points)
    x, h = scores.rows(torch.randn(5000, 2, dtype=torch.float64)), -scores.points.square().sum(1) / 2
    pool = Pool(scores, x, np.full(300, 1 / 300), h.numpy())
    pool.refresh(h.numpy(), 10)
    assert not pool.is_lost
    # Cells as far from their points as this are not among the candidates.
    far = 10 * np.random.RandomState(0).rand(300)
    pool.refresh(far, 10)
    assert pool.is_lost
    # Nor does it go on with them.
    found, reached = pool.minimise(far, 0.1, 0.1, 1e-6, 10)
    assert not reached
    np.testing.assert_array_equal(found, far)


@pytest.mark.parametrize("cost", ["sqeuclidean", 1.5, 3.0])
def test_an_empty_cell_gets_its_mass(cost):
    """The step is exact: as many rows as its weight asks for; the other offsets stay."""
    from sklearn_ot.solvers.semidiscrete._newton import Pool
    from sklearn_ot.solvers.semidiscrete._scores import Scores

    points = torch.randn(40, 2, dtype=torch.float64)
    scores = Scores(points, cost, points, torch.float64)
    x = scores.rows(torch.randn(4000, 2, dtype=torch.float64))
    # All cells are those of the nearest point, but for one.
    h = -scores.points.square().sum(1) / 2 if cost == "sqeuclidean" else torch.zeros(40, dtype=torch.float64)
    h[7] -= 100
    weights = np.full(40, 0.9 / 39)
    weights[7] = 0.1
    pool = Pool(scores, x, weights, h.numpy())
    filled = pool.fill(h.numpy())
    assert (filled != h.numpy()).nonzero()[0].tolist() == [7]
    filled[7] += 1e-12  # the last row that it takes is a tie
    cells = scores.cells(x, torch.from_numpy(filled))
    assert (cells == 7).sum() == 400
    np.testing.assert_array_equal(pool.best, cells)


@pytest.mark.slow
def test_no_cell_stays_empty_among_thousands():
    """Four pools of 2¹⁷ rows and more are enough: one cell left empty would hand the rest to the slower ascent."""
    generator = torch.Generator().manual_seed(0)
    solution = semidiscrete_dual("normal", torch.randn(5000, 2, generator=generator), tol=0.1, generator=generator)
    assert solution.converged
    assert solution.n_empty == 0
    assert solution.n_samples < 2**17 * (1 + 2 + 4 + 8) + 2**16  # and the rows before the first pool


def test_clustered_points_are_no_obstacle():
    centres = torch.cartesian_prod(*2 * [torch.arange(-4.0, 5.0, 2.0)])
    points = centres[torch.arange(1000) % 25] + 0.05 * torch.randn(1000, 2)
    assert semidiscrete_dual("normal", points, tol=0.1).converged


# The interval.


def quantisation_cost(points):
    """Squared W2 between N(0, 1) and equally weighted sorted points, by quadrature."""
    ends = stats.norm.ppf(np.linspace(0, 1, len(points) + 1))
    return sum(
        integrate.quad(lambda x, y=y: (x - y) ** 2 * stats.norm.pdf(x), low, high)[0]
        for y, low, high in zip(points, ends[:-1], ends[1:], strict=True)
    )


@pytest.mark.parametrize("n_points", [2, 20])
def test_interval_holds_the_truth(n_points):
    points = stats.norm.ppf((np.arange(n_points) + 0.5) / n_points)
    truth = quantisation_cost(points)
    tensor = torch.from_numpy(points)[:, None]
    solution = semidiscrete_dual("normal", tensor)
    # 20 intervals at 99.9 %: all hold it, but for one run in 50.
    intervals = [primal_dual_interval("normal", tensor, solution.potential, confidence=0.999) for _ in range(5)]
    assert all(interval.low <= truth <= interval.high for interval in intervals)
    # A batch of 1000 rows is W2 = O(1000^-1/2) off, here 0.001 to 0.01 in the square.
    assert all(interval.high - interval.low < 0.05 for interval in intervals)
    assert np.mean([interval.dual_value for interval in intervals]) == pytest.approx(truth, abs=0.005)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_interval_of_a_bad_potential_is_wide_but_right(cost):
    # With 450 points batches are repaired, not solved from scratch.
    points = 0.5 * torch.randn(450, 2)
    potential = semidiscrete_dual("normal", points, cost=cost, tol=0.2).potential
    exact = primal_dual_interval("normal", points, potential, cost=cost, n_batches=2)
    bad = primal_dual_interval("normal", points, potential + 0.05 * torch.randn(450), cost=cost, n_batches=2)
    middle = exact.dual_value
    assert exact.low < middle < exact.high
    assert bad.low < middle < bad.high
    assert bad.high - bad.low > exact.high - exact.low


def test_interval_in_slabs_is_an_upper_bound(monkeypatch):
    from sklearn_ot.solvers.semidiscrete import _interval

    points = torch.randn(40, 3)
    potential = semidiscrete_dual("normal", points, tol=0.1).potential
    whole = primal_dual_interval("normal", points, potential)
    monkeypatch.setattr(_interval, "MAX_COSTS", 2000)
    slabs = primal_dual_interval("normal", points, potential)
    assert slabs.high > whole.dual_value
    assert slabs.high > whole.high - 0.05


def test_interval_with_weights_and_scale():
    points, weights = torch.randn(30, 3), torch.rand(30, dtype=torch.float64) + 0.2
    weights /= weights.sum()
    potential = semidiscrete_dual("normal", points, weights, tol=0.1).potential
    torch.manual_seed(1)
    interval = primal_dual_interval(normal(3), points, potential, weights)
    torch.manual_seed(1)
    scaled = primal_dual_interval(normal(3, 1e-4), 1e-4 * points, 1e-8 * potential, weights)
    # float32 rounds the data anew.
    np.testing.assert_allclose(np.array(scaled[:2]) * 1e8, interval[:2], rtol=1e-3)
    exact = np.mean(
        [ot.emd2(np.full(2000, 1 / 2000), weights.numpy(), costs_by_hand(torch.randn(2000, 3), points, "sqeuclidean"))]
    )
    # Of a sample of 2000, with a standard error of about 2 %.
    assert interval.low * 0.93 < exact < interval.high * 1.07
