"""The objectives of regularised transport, against POT's solutions of small discrete problems."""

import ot
import pytest
import torch
from torch import nn

from sklearn_ot.objectives.lsot import (
    LARGEST_EXPONENT,
    barycentric_regression,
    regularized_dual,
)

REG = 0.3


class Tables(nn.Module):
    """Potentials and images as free numbers, one for each row."""

    def __init__(self, u, v, images=None):
        super().__init__()
        self.u_values, self.v_values = nn.Parameter(u.clone()), nn.Parameter(v.clone())
        self.images = None if images is None else nn.Parameter(images.clone())

    def u(self, x):
        return self.u_values

    def v(self, y):
        return self.v_values

    def transport(self, x):
        return self.images


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(n, 2, dtype=torch.float64, generator=generator) for n in (5, 7))


def solve(x, y, regularization):
    """The plan, the potentials and the cost from POT, whose penalties are not those of the density."""
    n, m = len(x), len(y)
    a, b = torch.full((n,), 1 / n, dtype=x.dtype), torch.full((m,), 1 / m, dtype=x.dtype)
    costs = ot.dist(x, y) / 2
    if regularization == "entropic":
        plan, log = ot.sinkhorn(a, b, costs, REG, method="sinkhorn_log", stopThr=1e-13, numItermax=10_000, log=True)
        u, v = REG * (log["log_u"] - a.log()), REG * (log["log_v"] - b.log())
        penalty = (plan * (plan * n * m).log()).sum() - 1
    else:
        plan, log = ot.smooth.smooth_ot_dual(
            a.numpy(), b.numpy(), costs.numpy(), 2 * REG * n * m, "l2", stopThr=1e-14, numItermax=10_000, log=True
        )
        plan, u, v = (torch.from_numpy(values) for values in (plan, log["alpha"], log["beta"]))
        penalty = n * m * plan.square().sum()
    return plan, u, v, (plan * costs).sum() + REG * penalty


@pytest.mark.parametrize("regularization", ["entropic", "l2"])
def test_dual_at_the_solution(rows, regularization):
    """At the potentials of POT the objective is minus the cost, and stationary."""
    x, y = rows
    _, u, v, cost = solve(x, y, regularization)
    tables = Tables(u, v)
    loss = regularized_dual(tables, x, y, reg=REG, regularization=regularization)
    # To the accuracy of POT's solvers; L-BFGS stops at gradients of 1e-5.
    torch.testing.assert_close(-loss, cost, rtol=1e-4, atol=0)
    loss.backward()
    for table in (tables.u_values, tables.v_values):
        assert table.grad.abs().max() < 1e-4
    worse = Tables(u + torch.linspace(-0.1, 0.1, 5), v)
    assert regularized_dual(worse, x, y, reg=REG, regularization=regularization) > loss + 1e-3


@pytest.mark.parametrize("regularization", ["entropic", "l2"])
def test_regression_at_the_barycentric_projection(rows, regularization):
    """The minimiser is the barycentric map of POT's plan, and the minimum is the variance of the plan about it."""
    x, y = rows
    plan, u, v, _ = solve(x, y, regularization)
    images = len(x) * plan @ y
    tables = Tables(u, v, images)
    loss = barycentric_regression(tables, x, y, reg=REG, regularization=regularization)
    torch.testing.assert_close(loss, (plan * (images[:, None] - y).square().sum(2)).sum(), rtol=1e-3, atol=0)
    loss.backward()
    assert tables.images.grad.abs().max() < 1e-4
    assert tables.u_values.grad is None
    worse = barycentric_regression(Tables(u, v, images + 0.1), x, y, reg=REG, regularization=regularization)
    torch.testing.assert_close(worse - loss, torch.tensor(2 * 0.1**2, dtype=x.dtype), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("regularization", ["entropic", "l2"])
@pytest.mark.parametrize("level", [-1e4, 1e4])
def test_nothing_overflows(rows, regularization, level):
    """Potentials with large errors have finite objectives, and gradients of the dual that reduce the errors."""
    x, y = (sample.float() for sample in rows)
    tables = Tables(torch.full((5,), level), torch.zeros(7), x)
    loss = regularized_dual(tables, x, y, reg=1e-3, regularization=regularization)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(tables.u_values.grad).all()
    assert (tables.u_values.grad.sign() == (1 if level > 0 else -1)).all()
    assert torch.isfinite(barycentric_regression(tables, x, y, reg=1e-3, regularization=regularization))


def test_no_row_weighs_more_than_another(rows):
    """An error of an entropic potential u multiplies the densities of a row by a factor, which the division removes."""
    x, y = rows
    _, u, v, _ = solve(x, y, "entropic")
    right, wrong = (
        barycentric_regression(Tables(values, v, x), x, y, reg=REG, regularization="entropic")
        for values in (u, u + torch.linspace(-5, 5, 5))
    )
    torch.testing.assert_close(wrong, right)


def test_the_tangent_joins_the_exponential():
    """One pair of equal rows: the penalty and its slope in u/ε are e^t below the cap, and continuous there."""
    x = torch.zeros(1, 2, dtype=torch.float64)

    def penalty_and_slope(t):
        tables = Tables(torch.full((1,), REG * t, dtype=x.dtype), torch.zeros(1, dtype=x.dtype))
        loss = regularized_dual(tables, x, x, reg=REG, regularization="entropic")
        loss.backward()
        return (loss.item() + REG * t) / REG, tables.u_values.grad.item() + 1

    for t in (-3.0, 0.0, 2.0, LARGEST_EXPONENT - 1):
        assert penalty_and_slope(t) == pytest.approx((torch.tensor(t).double().exp().item(),) * 2)
    below, above = (penalty_and_slope(LARGEST_EXPONENT + step) for step in (-1e-6, 1e-6))
    assert above == pytest.approx(below, rel=1e-5)
    assert penalty_and_slope(LARGEST_EXPONENT + 1)[0] == pytest.approx(2 * below[0], rel=1e-5)
