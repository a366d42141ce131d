"""The bound of the curvature of an input-convex network."""

import pytest
import torch

from sklearn_ot.nn import MLP, DenseICNN, HalfSquare, WithRim, curvature_bound


def random_network(activation, sizes, seed):
    torch.manual_seed(seed)
    network = DenseICNN(3, sizes, rank=0, activation=activation, pool_size=4).double()
    with torch.no_grad():
        for weight in network.inner:
            weight.copy_(3 * torch.rand_like(weight) ** 4 / weight.shape[1])
        network.quadratic.add_(0.1 * torch.randn(3, 3))
        network.log_sharpness.uniform_(-5, 5)
    return network


def hessian(network, x):
    return torch.autograd.functional.jacobian(lambda row: network.gradient(row[None])[0], x)


@pytest.mark.parametrize("sizes", [(16,), (16, 8), (8, 16, 8)])
@pytest.mark.parametrize("activation", ["logsumexp", "softplus", "celu", "mixed"])
def test_no_hessian_is_above_the_bound(activation, sizes):
    for seed in range(3):
        network = random_network(activation, sizes, seed)
        bound = curvature_bound(network, 3)
        assert torch.linalg.eigvalsh(curvature_bound(WithRim(network, 1.0), 3) - bound).min() > 0
        points = 2 * torch.randn(50, 3, dtype=torch.float64)
        hessians = torch.stack([hessian(network, x) for x in points])
        assert torch.linalg.eigvalsh(bound - hessians).min() > 0
        # Random points do not meet the largest curvature.
        assert torch.linalg.eigvalsh(bound)[-1] < 30 * torch.linalg.eigvalsh(hessians)[:, -1].max()


def test_the_bound_of_one_pool_of_two_units_is_reached():
    """ψ = log(exp(x) + exp(-x)) has the curvature 1 at 0, and ¼ of the squared difference of the slopes is 1."""
    network = DenseICNN(1, (2,), rank=0, activation="logsumexp", pool_size=2, strong_convexity=0.5).double()
    with torch.no_grad():
        network.skip.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network.skip.bias.zero_()
        network.inner[0].fill_(1.0)
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(curvature_bound(network, 1), hessian(network, zero))


@pytest.mark.parametrize("activation", ["softplus", "celu"])
def test_the_bound_of_one_unit_is_reached(activation):
    network = DenseICNN(1, (1,), rank=0, activation=activation).double()
    with torch.no_grad():
        network.skip.weight.fill_(2.0)
        network.skip.bias.fill_(0.0)
        network.inner[0].fill_(3.0)
        network.log_sharpness.fill_(7.0)
    # CELU has its largest curvature just below 0.
    below = torch.full((1,), -1e-9, dtype=torch.float64)
    torch.testing.assert_close(curvature_bound(network, 1), hessian(network, below))


def test_the_bound_of_a_rim_is_reached_beyond_it():
    """½‖x‖² with the rim has the curvature 1.3 away from the centre."""
    network = WithRim(HalfSquare().double(), 1.0)
    bound = curvature_bound(network, 2)
    assert float(torch.linalg.eigvalsh(hessian(network, torch.tensor([2.0, 1.0], dtype=torch.float64)))[-1]) == (
        pytest.approx(float(bound[0, 0]))
    )
    torch.testing.assert_close(hessian(network, torch.tensor([0.5, 0.0], dtype=torch.float64)), torch.eye(2).double())


def test_half_of_the_squared_norm():
    torch.testing.assert_close(curvature_bound(HalfSquare(), 3), torch.eye(3, dtype=torch.float64))
    x = torch.tensor([[3.0, 4.0]])
    assert HalfSquare()(x).item() == 12.5
    torch.testing.assert_close(HalfSquare().gradient(x), x)


def test_networks_without_a_bound():
    assert curvature_bound(DenseICNN(2, rank=1), 2) is None
    assert curvature_bound(MLP(2), 2) is None


def test_a_pruned_network_has_its_own_bound():
    network = random_network("mixed", (16, 16), 0)
    with torch.no_grad():
        network.inner[-1][:, 2:] = 0
    pruned = network.pruned()
    bound = curvature_bound(pruned, 3)
    for x in 2 * torch.randn(20, 3, dtype=torch.float64):
        assert torch.linalg.eigvalsh(bound - hessian(pruned, x)).min() > 0
    assert torch.linalg.eigvalsh(curvature_bound(network, 3) - bound).min() > -1e-9
