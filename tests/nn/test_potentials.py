"""The modules that transports train."""

import pytest
import torch

from sklearn_ot.nn import MLP, ConvexPair, DenseICNN, DisplacementPotential, PotentialsAndMap, ResidualMap

CONVEX = (DenseICNN, {"n_features": 2, "hidden_layer_sizes": (8, 8), "rank": 0})
GUESS = (ResidualMap, {"n_features": 2, "hidden_layer_sizes": (8,)})
FUNCTION = (MLP, {"n_features": 2, "hidden_layer_sizes": (8,)})
MAP = (MLP, {"n_features": 2, "hidden_layer_sizes": (8,), "n_outputs": 2})


@pytest.fixture
def x():
    return torch.randn(5, 2, generator=torch.Generator().manual_seed(0))


def moved(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return module


@pytest.mark.parametrize(
    "module",
    [
        ConvexPair(CONVEX, CONVEX, is_guess=False),
        ConvexPair(CONVEX, GUESS, is_guess=True),
        PotentialsAndMap(FUNCTION, MAP),
        DisplacementPotential(FUNCTION),
    ],
)
def test_as_built_the_map_is_the_identity(module, x):
    torch.testing.assert_close(module.transport(x), x)
    moved(module).project_()
    assert (module.transport(x) - x).abs().max() > 0.1


def test_the_networks_of_a_pair_are_projected(x):
    pair = moved(ConvexPair(CONVEX, CONVEX, is_guess=False))
    pair.project_()
    for network in (pair.potential, pair.inverse):
        assert all(bool((weight >= 0).all()) for weight in network.inner)
    torch.testing.assert_close(pair.transport(x), pair.potential.gradient(x))


def test_sizes_stand_in_the_place_of_those_in_the_arguments():
    convex = (DenseICNN, {**CONVEX[1], "activation": "celu"})
    pair = ConvexPair(convex, GUESS, is_guess=True, sizes=(3, 5))
    assert pair.potential.hidden_layer_sizes == (3, 5)
    assert pair.inverse.rest.layers[0].out_features == 8
    pair = ConvexPair(convex, convex, is_guess=False, inverse_sizes=(4, 2))
    assert pair.potential.hidden_layer_sizes == (8, 8)
    assert pair.inverse.hidden_layer_sizes == (4, 2)


def test_a_displacement_is_the_gradient_of_its_potential(x):
    module = moved(DisplacementPotential(FUNCTION)).double()
    x = x.double().requires_grad_()
    value, gradient = module.value_and_gradient(x)
    (expected,) = torch.autograd.grad(module(x).sum(), x)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(value, module(x))
    torch.testing.assert_close(module.transport(x), x - expected)


def test_a_rim_changes_nothing_in_its_ball_and_adds_its_stretch_beyond():
    pair = moved(ConvexPair(CONVEX, GUESS, is_guess=True)).double()
    x = 3 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[0] = 0
    x.requires_grad_()
    with_rim = pair.with_rim(2.0)
    value, gradient = with_rim.potential.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(with_rim.potential(x), value)
    torch.testing.assert_close(with_rim.transport(x), gradient)
    norms = x.detach().norm(dim=1)
    inside = norms < 2
    assert 0 < inside.sum() < 50
    torch.testing.assert_close(gradient[inside], pair.transport(x)[inside], rtol=0, atol=0)
    added = (gradient - pair.transport(x)).norm(dim=1)
    torch.testing.assert_close(added, 0.3 * (norms - 2).clamp_min(0))
    assert isinstance(pair.potential, DenseICNN)
