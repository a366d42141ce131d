"""The objective of quadratic-cost critics."""

from itertools import permutations

import pytest
import torch

from sklearn_ot.objectives.qc import batch_transport, plan_regression


class Table:
    """A critic given by its values and gradients, one for each row."""

    def __init__(self, value, gradient):
        self.value, self.gradient = value, gradient

    def value_and_gradient(self, x):
        return self.value, self.gradient


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(6, 3, dtype=torch.float64, generator=generator) for _ in range(2))


def test_batch_transport_against_all_permutations(rows):
    x, y = rows
    best = min((x - y[list(order)]).square().sum() for order in permutations(range(6)))
    _, images = batch_transport(x, y)
    torch.testing.assert_close((x - images).square().sum(), best)
    assert sorted(images[:, 0].tolist()) == pytest.approx(sorted(y[:, 0].tolist()))


@pytest.mark.parametrize("n_target", [6, 4])
def test_batch_potentials_solve_the_dual(rows, n_target):
    """With its c-transform the potential has the value of the plan, for the cost with the ½ and any two sizes."""
    x, y = rows[0], rows[1][:n_target]
    potential, images = batch_transport(x, y)
    costs = (x[:, None] - y).square().sum(2) / 2
    value = potential.mean() + (costs - potential[:, None]).amin(0).mean()
    # The identity E ½|x − y|² = ½E|x|² + ½E|y|² − E⟨x, ȳ(x)⟩ gives the cost of the plan from its means.
    cost = (x.square().sum(1).mean() + y.square().sum(1).mean()) / 2 - (x * images).sum(1).mean()
    torch.testing.assert_close(value, cost)


def test_zero_at_the_solution_and_up_to_a_constant(rows):
    x, y = rows
    potential, images = batch_transport(x, y)
    loss = plan_regression(Table(potential + 3, x - images), x, y, reg=5.0)
    assert loss == pytest.approx(0, abs=1e-20)


def test_each_term(rows):
    """Values that are off by ±1, and gradients by a vector of length 2."""
    x, y = rows
    potential, images = batch_transport(x, y)
    signs = torch.tensor([1.0, -1.0] * 3, dtype=x.dtype)
    step = torch.tensor([2.0, 0, 0], dtype=x.dtype)
    assert plan_regression(Table(potential + signs, x - images), x, y, reg=5.0) == pytest.approx(1)
    assert plan_regression(Table(potential, x - images + step), x, y, reg=5.0) == pytest.approx(5 * 4)


def test_the_plan_is_a_constant(rows):
    """No gradient flows into the plan, and its tensors have the dtype of the batch."""
    x, y = (sample.float().requires_grad_() for sample in rows)
    potential, images = batch_transport(x, y)
    assert not potential.requires_grad
    assert not images.requires_grad
    assert potential.dtype == images.dtype == torch.float32
