"""The test of the masses of cells."""

import numpy as np
import pytest
import torch

from sklearn_ot.solvers.semidiscrete import assign, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._masses import visible_cells
from sklearn_ot.solvers.sources import Source


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
def test_the_test_of_the_masses_is_as_sharp_as_tol(spread):
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
    # Only the lightest cells may be left out.
    assert visible.sum() >= (95 if spread == 2 else 100)
    assert (weights[~visible] <= weights[visible].min()).all()


@pytest.mark.parametrize("n_features", [1, 2, 4])
@pytest.mark.parametrize("source", ["name", "sampler"])
def test_a_weight_that_no_test_can_see_is_left_out(n_features, source, normal):
    points, weights = torch.randn(20, n_features), torch.ones(20, dtype=torch.float64)
    weights[3] = 1e-5
    source = "normal" if source == "name" else normal(n_features)
    solution = semidiscrete_dual(source, points, weights / weights.sum())
    assert solution.converged
    assert solution.n_empty == 0
    # The fit ends before its limit of a million rows.
    assert solution.n_samples < 250_000


@pytest.mark.parametrize(
    "weights",
    [np.exp(np.random.RandomState(0).standard_normal(50)), np.arange(1, 51.0) ** -2],
    ids=["lognormal", "1/k²"],
)
def test_light_cells_get_their_masses(weights, normal, masses):
    points, weights = torch.randn(50, 4), torch.from_numpy(weights / weights.sum())
    solution = semidiscrete_dual("normal", points, weights, tol=0.05)
    assert solution.converged
    assert solution.n_empty == 0
    error = masses(normal(4), points, solution.potential, n_samples=1_000_000) / weights - 1
    # The test of weights like 1/k² can have an error of tol, and these rows add a root mean square of 4 %.
    assert error.square().mean().sqrt() < 0.1


def test_few_allowed_rows_also_limit_the_tests():
    """The tests of the start and of the end took eighteen rows for each point, many times the rows of the fit."""
    points, drawn = torch.randn(4000, 4), []

    def sample(n):
        drawn.append(n)
        return torch.randn(n, 4)

    first = semidiscrete_dual(Source(sample), points, tol=0.2, max_samples=1000)
    drawn.clear()
    solution = semidiscrete_dual(Source(sample), points, tol=0.2, max_samples=1000, start=first.potential)
    # A test has as many rows as the fit, or 8192, and there are two besides the rows that find the location.
    assert sum(drawn) < 2 * solution.n_samples + 3 * 8192
    # The measured error is right all the same: the product of two counts on fresh rows has no bias.
    counts = [assign(torch.randn(40_000, 4), points, solution.potential).bincount(minlength=4000) for _ in range(2)]
    first, second = (count / 10 - 1 for count in counts)
    assert solution.mass_error == pytest.approx((first * second).mean().sqrt().item(), abs=0.1)
    assert solution.n_empty == 0
