"""The interval for the optimal cost."""

import numpy as np
import ot
import pytest
import torch
from scipy import integrate, stats

from sklearn_ot.solvers.semidiscrete import _interval, primal_dual_interval, semidiscrete_dual


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
    # All of 20 intervals at 99.9 % contain the cost, with a probability of 98 %.
    intervals = [primal_dual_interval("normal", tensor, solution.potential, confidence=0.999) for _ in range(5)]
    assert all(interval.low <= truth <= interval.high for interval in intervals)
    # A batch of 1000 rows has a W2 distance of O(1000^-1/2) from the source, here 0.001 to 0.01 in the square.
    assert all(interval.high - interval.low < 0.05 for interval in intervals)
    assert np.mean([interval.dual_value for interval in intervals]) == pytest.approx(truth, abs=0.005)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_interval_of_a_bad_potential_is_wide_but_right(cost):
    # With 450 points batches are repaired, and not solved by an exact plan.
    points = 0.5 * torch.randn(450, 2)
    potential = semidiscrete_dual("normal", points, cost=cost, tol=0.2).potential
    exact = primal_dual_interval("normal", points, potential, cost=cost, n_batches=2)
    bad = primal_dual_interval("normal", points, potential + 0.05 * torch.randn(450), cost=cost, n_batches=2)
    middle = exact.dual_value
    assert exact.low < middle < exact.high
    assert bad.low < middle < bad.high
    assert bad.high - bad.low > exact.high - exact.low


def test_interval_in_slabs_is_an_upper_bound(monkeypatch):
    points = torch.randn(40, 3)
    potential = semidiscrete_dual("normal", points, tol=0.1).potential
    whole = primal_dual_interval("normal", points, potential)
    monkeypatch.setattr(_interval, "MAX_PAIRS", 2000)
    slabs = primal_dual_interval("normal", points, potential)
    assert slabs.high > whole.dual_value
    assert slabs.high > whole.high - 0.05


def test_interval_with_weights_and_scale(normal, costs_by_hand):
    points, weights = torch.randn(30, 3), torch.rand(30, dtype=torch.float64) + 0.2
    weights /= weights.sum()
    potential = semidiscrete_dual("normal", points, weights, tol=0.1).potential
    torch.manual_seed(1)
    interval = primal_dual_interval(normal(3), points, potential, weights)
    torch.manual_seed(1)
    scaled = primal_dual_interval(normal(3, 1e-4), 1e-4 * points, 1e-8 * potential, weights)
    # float32 rounds the data in other units differently.
    np.testing.assert_allclose(np.array(scaled[:2]) * 1e8, interval[:2], rtol=1e-3)
    exact = np.mean(
        [ot.emd2(np.full(2000, 1 / 2000), weights.numpy(), costs_by_hand(torch.randn(2000, 3), points, "sqeuclidean"))]
    )
    # A sample of 2000 rows has a standard error of about 2 %.
    assert interval.low * 0.93 < exact < interval.high * 1.07
