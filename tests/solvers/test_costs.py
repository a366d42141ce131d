"""Costs: values, gradients, inverses of gradients, and a new cost."""

import pytest
import torch

from sklearn_ot.solvers.costs import COSTS, Cost, EuclideanPower, half_squared_distances, read_cost

POWERS = [1.0, 1.5, 2.0, 3.0]
ALL = [COSTS["cityblock"], *map(EuclideanPower, POWERS), Cost(lambda z: z.abs().amax(-1) ** 1.5, power=1.5)]


def name_of(cost):
    return f"{type(cost).__name__}-{cost.power:g}"  # repr has the address of a function


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (7, 5))


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_pairwise_costs_are_those_of_differences(rows, cost):
    x, y = rows
    by_hand = cost.value(x[:, None] - y)
    torch.testing.assert_close(cost.pairwise(x, y), by_hand)
    torch.testing.assert_close(cost.pairwise(x, y, by_product=True), by_hand)


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_the_power_is_the_degree(rows, cost):
    torch.testing.assert_close(cost.value(3 * rows[0]), 3**cost.power * cost.value(rows[0]))


@pytest.mark.parametrize("cost", ALL, ids=name_of)
def test_the_gradient_is_that_of_the_value(rows, cost):
    z = rows[0].requires_grad_()
    (expected,) = torch.autograd.grad(cost.value(z).sum(), z)
    torch.testing.assert_close(cost.gradient(z.detach()), expected)


@pytest.mark.parametrize("power", POWERS[1:])
def test_the_inverse_of_the_gradient(rows, power):
    z, cost = torch.cat([rows[0], torch.zeros(1, 3)]), EuclideanPower(power)
    torch.testing.assert_close(cost.inverse_gradient(cost.gradient(z)), z)


@pytest.mark.parametrize("cost", [COSTS["euclidean"], *ALL[:1], ALL[-1]], ids=name_of)
def test_a_gradient_without_an_inverse_is_an_error(rows, cost):
    with pytest.raises(ValueError, match=r"The inverse of the gradient of .* is not known"):
        cost.inverse_gradient(rows[0])


def test_pairwise_costs_in_blocks_and_with_gradients(rows, monkeypatch):
    x, y = rows
    whole = ALL[-1].pairwise(x, y)
    monkeypatch.setattr("sklearn_ot.solvers.costs.BLOCK_NUMBERS", 2 * y.numel())
    torch.testing.assert_close(ALL[-1].pairwise(x, y), whole)
    assert all(torch.autograd.gradcheck(cost.pairwise, (x.requires_grad_(), y)) for cost in ALL)


def test_half_squared_distances(rows):
    x, y = rows
    torch.testing.assert_close(half_squared_distances(x, y), (x[:, None] - y).square().sum(2) / 2)


@pytest.mark.parametrize("power", [2, 2.0, "sqeuclidean", COSTS["sqeuclidean"]])
def test_names_and_powers_are_read(power):
    assert read_cost(power).is_squared


def test_costs_of_the_same_kind_and_power_are_equal():
    assert EuclideanPower(3.0) == EuclideanPower(3.0)
    assert len({EuclideanPower(3.0), EuclideanPower(3.0), EuclideanPower(2.0), COSTS["cityblock"]}) == 3
    assert EuclideanPower(1.0) != COSTS["cityblock"]
    assert Cost(torch.sum, 1.0) == Cost(torch.sum, 1.0) != EuclideanPower(1.0)


@pytest.mark.parametrize("cost", ["cosine", 0.5, float("inf"), float("nan"), True, None, [1], torch.ones(2)])
def test_other_costs_are_refused(cost):
    with pytest.raises(ValueError, match="cost must be one of sqeuclidean, euclidean, cityblock or a power"):
        read_cost(cost)
