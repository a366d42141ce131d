"""How little an addition takes: one function and one row of a table, and no other file of the package."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Dense
from sklearn_ot.objectives.constraints import CONSTRAINTS, Constraint
from sklearn_ot.solvers.costs import COSTS, Cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.transport import SemiDiscreteTransport


def largest_difference(difference):
    """The square of the largest absolute difference of two features."""
    return difference.abs().amax(-1) ** 2


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_a_cost_is_one_function_and_one_row(monkeypatch, n_features):
    monkeypatch.setitem(COSTS, "toy", Cost(largest_difference, power=2))
    rng = np.random.RandomState(0)
    X, Y = rng.randn(200, n_features), rng.randn(15, n_features)
    costs = np.abs(X[:, None] - Y).max(2) ** 2

    _, partner = linear_sum_assignment(costs[:15])
    assert exact_plan(X[:15], Y, cost="toy").partner.tolist() == partner.tolist()

    transport = SemiDiscreteTransport("normal", cost="toy", tol=0.1, random_state=0).fit(Y)
    np.testing.assert_array_equal(transport.assign(X), (costs - transport.potential_).argmin(1))
    assert transport.mass_error_ < 0.1
    low, high = transport.distance_interval_
    assert low <= transport.distance_ <= high

    parameters = {"n_fit_samples": 2000, "n_fit_steps": 100, "max_iter": 2, "tol": 0.3, "random_state": 0}
    generator = SemiDiscreteOTGenerator(cost="toy", **parameters).fit(Y)
    assert generator.history_[-1]["distance"] < generator.history_[0]["distance"]


def test_the_cost_has_a_gradient():
    cost = Cost(largest_difference, power=2)
    torch.testing.assert_close(cost.gradient(torch.tensor([[1.0, -3.0]])), torch.tensor([[0.0, -6.0]]))


def unit_rows_(module, reg):
    """Rows of all weight matrices with norms of at most ``reg``."""
    for weight in module.parameters():
        if weight.ndim == 2:
            weight.div_((weight.norm(dim=1, keepdim=True) / reg).clamp(min=1))


def test_a_wgan_constraint_is_one_function_and_one_row(monkeypatch):
    monkeypatch.setitem(CONSTRAINTS, "toy", Constraint(0.5, project=unit_rows_))
    X = np.random.RandomState(0).exponential(1, (300, 2))
    network = Dense((32,))
    generator = WGANGenerator("toy", generator=network, critic=network, max_iter=200, random_state=0).fit(X)
    norms = torch.cat([w.detach().norm(dim=1) for w in generator.net_.critic_.parameters() if w.ndim == 2])
    # The constraint binds, and holds but for rounding.
    assert norms.max().item() == pytest.approx(0.5, rel=1e-5)
    assert generator.history_[-1]["score"] > generator.net_.start_score_
    with pytest.raises(ValueError, match=r"'constraint' parameter .* 'toy'"):
        generator.set_params(constraint="other").fit(X)
