"""A new cost, constraint or solver is one function and one row of a table, without a change of another file."""

import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.datasets import make_potential_pair
from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.objectives.constraints import CONSTRAINTS, Constraint
from sklearn_ot.objectives.solvers import SOLVERS, Solver
from sklearn_ot.objectives.w2 import mean_squared_norm
from sklearn_ot.solvers.costs import COSTS, Cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.transport import GaussianTransport, SemiDiscreteTransport, W2Transport


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


def unrolled_dual(pair, x, y, *, reg):
    """The dual with 20 steps of gradient ascent for each conjugate, and a regression of ω on where they end."""
    x_hat = y
    with torch.no_grad():
        for _ in range(20):
            x_hat = x_hat - 0.2 * (pair.potential.gradient(x_hat) - y)
    conjugate = (x_hat * y).sum(1) - pair.potential(x_hat)
    return pair.potential(x).mean() + conjugate.mean() + reg * mean_squared_norm(pair.inverse.gradient(y) - x_hat)


def test_a_w2_solver_is_one_function_and_one_row(monkeypatch):
    toy = Solver(unrolled_dual, reg=1.0, learning_rate=2e-2, relative_step=1, exact_inverse=True)
    monkeypatch.setitem(SOLVERS, "toy", toy)
    pair = make_potential_pair(2, n_samples=2000, random_state=0)
    settings = {"batch_size": 128, "max_iter": 200, "plan_size": 0, "warm_start": True, "random_state": 0}
    transport = W2Transport("toy", network=Convex((32, 32)), **settings)
    X = pair.sample_source(500, random_state=1)
    Y = pair.transport(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        transport.fit(pair.source, pair.target)
        gaussian = GaussianTransport().fit(pair.source, pair.target)
        assert l2_uvp(transport.transform(X), Y) < 0.5 * l2_uvp(gaussian.transform(X), Y)
        assert transport.inverse_transform(Y, return_residual=True)[1].max() < 1e-2
        transport.fit(pair.source, pair.target)
    assert transport.n_iter_ == 400
    assert {row["stage"] for row in transport.history_} == {"toy"}
