"""Properties of input-convex networks."""

import math

import pytest
import torch

from sklearn_ot.nn import DenseICNN, ResidualMap
from sklearn_ot.nn._convex_layers import ACTIVATIONS, CELU, LogSumExp, Softplus
from sklearn_ot.nn._icnn import SHARPENING

ARCHITECTURES = [
    pytest.param(
        {"rank": rank, "activation": activation, "hidden_layer_sizes": sizes, "pool_size": 4},
        id=f"{activation}-{rank}-{sizes}",
    )
    for activation in ACTIVATIONS
    for rank, sizes in ((0, (16,)), (1, (16, 12)), (3, (16, 12, 8)))
]


def trained(n_features=5, **architecture):
    """A network in which every term has an effect, and some weights are negative before a projection."""
    torch.manual_seed(0)
    network = DenseICNN(n_features, **architecture).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        network.log_sharpness.mul_(10)
    network.project_()
    return network


@pytest.fixture
def x():
    return torch.randn(64, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradient_is_that_of_autograd(architecture, x):
    network = trained(**architecture)
    x.requires_grad_()
    value, gradient = network.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    # The two differ by the order of operations, and so by rounding in float64.
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.gradient(x), gradient)
    torch.testing.assert_close(network(x), value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_gradients_agree_with_double_backward(architecture, x):
    network, weights = (lambda n: (n, list(n.parameters())))(trained(**architecture))
    closed = torch.autograd.grad(network.gradient(x).square().sum(), weights, allow_unused=True)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    double = torch.autograd.grad(gradient.square().sum(), weights, allow_unused=True)
    for one, other in zip(closed, double, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", [CELU, LogSumExp, Softplus])
def test_activations_against_finite_differences(activation):
    """Slopes against values, and curvatures against slopes; not near 0, where the curvature of CELU jumps."""
    v = torch.cat([torch.linspace(-4, -0.1, 20), torch.linspace(0.1, 4, 20)]).double()
    pool_size = 4 if activation is LogSumExp else 1
    v = v.reshape(pool_size, -1, 2).requires_grad_()
    assert torch.autograd.gradcheck(activation.apply, v)
    value, slope = activation.apply(v)
    assert value.shape == v.shape[1:]
    torch.testing.assert_close(torch.autograd.grad(value.sum(), v)[0], slope)


@pytest.mark.parametrize(("rank", "activation"), [(0, "softplus"), (2, "softplus"), (1, "logsumexp")])
def test_training_gradients_against_finite_differences(rank, activation):
    network = trained(2, rank=rank, activation=activation, hidden_layer_sizes=(4, 2), pool_size=2)
    x = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: network.value_and_gradient(x), (x, *network.parameters()))


def test_float32_gradient_is_that_of_autograd_to_1e_5(x):
    network, x = trained(hidden_layer_sizes=(128, 128)).float(), x.float().requires_grad_()
    value, gradient = network.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    assert (gradient - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_convex_along_random_segments(architecture):
    network = trained(**architecture)
    a, b = 5 * torch.randn(2, 500, 5, dtype=torch.float64)
    t = torch.rand(500, 1, dtype=torch.float64)
    chord = t[:, 0] * network(a) + (1 - t[:, 0]) * network(b)
    modulus = network.strong_convexity / 2 * (t * (1 - t) * (a - b).square()).sum(1)
    # Strong convexity: the chord is above the function by at least the term of the modulus, up to rounding.
    assert bool((chord - network(t * a + (1 - t) * b) >= modulus - 1e-9 * chord.abs()).all())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_hessian_is_at_least_the_strong_convexity(architecture, x):
    network = trained(strong_convexity=0.05, **architecture)
    hessians = torch.stack([torch.autograd.functional.jacobian(network.gradient, row[None])[0, :, 0] for row in x[:20]])
    torch.testing.assert_close(hessians, hessians.mT)
    assert torch.linalg.eigvalsh(hessians).min() >= 0.05 - 1e-9


def test_the_sharpness_of_a_new_network():
    """It changes no map at first, and is the sharpness of all layers."""
    network = DenseICNN(2, (16, 16), activation="mixed", sharpness=3.0)
    torch.testing.assert_close(torch.cat(network.sharpness), torch.full((4,), 3.0))
    rows = torch.randn(5, 2)
    torch.testing.assert_close(network.gradient(rows), rows)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 20.0])
def test_a_pool_is_above_the_largest_unit_by_at_most_the_smoothing_of_its_sharpness(sharpness, x):
    network = DenseICNN(5, (4,), rank=0, activation="logsumexp", pool_size=4).double()
    with torch.no_grad():
        network.log_sharpness.fill_(math.log(sharpness) / SHARPENING)
        network.inner[-1].fill_(1.0)
    above = network(x).detach() - x.square().sum(1) / 2 - network.skip(x).detach().amax(1)
    # s⁻¹ log Σ exp(s v) is above max v by at most s⁻¹ log 4, and reaches it where all units are equal. The root of the
    # quadratic term is computed in float32.
    assert -1e-5 <= float(above.min()) <= float(above.max()) <= math.log(4) / sharpness + 1e-5
    torch.testing.assert_close(network.sharpness[0], torch.full((1,), sharpness, dtype=torch.float64))


def test_values_are_those_of_the_formula(x):
    """The formula, with sums over layers in a loop and the sharpness in the units."""
    network = trained(hidden_layer_sizes=(16, 12), activation="mixed", pool_size=2, rank=2)
    with torch.no_grad():
        network.log_sharpness.copy_(torch.tensor([7.0, -5.0, 3.0, 12.0]))
        below, first = None, 0
        for layer, weight, (pooled, single) in zip(
            network.layers, (None, *network.inner), network.sharpness, strict=False
        ):
            units = slice(first, first + layer.width)
            first += layer.width
            v = network.skip(x)[:, units]
            for squares in network.squares.chunk(2):
                v = v + (x @ squares[units].T).square()
            v = v if below is None else v + below @ weight.T
            n_pooled = layer.kinds[0].n_units
            pools = (pooled * v[:, :n_pooled]).unflatten(1, (2, -1)).logsumexp(1) / pooled
            below = torch.cat([pools, torch.nn.functional.celu(single * v[:, n_pooled:]) / single], dim=1)
        quadratic = network.strong_convexity * x.square().sum(1) + (x @ network.quadratic.T).square().sum(1)
        expected = quadratic / 2 + x @ network.shift + below @ network.inner[-1][0]
        torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_projection_removes_exactly_the_negative_weights():
    network = trained(hidden_layer_sizes=(16, 12))
    with torch.no_grad():
        for weight in network.inner:
            weight.sub_(0.2)
    before = [weight.detach().clone() for weight in network.inner]
    free = [network.skip.weight.clone(), network.quadratic.clone()]
    network.project_()
    for old, new in zip(before, network.inner, strict=True):
        torch.testing.assert_close(new, old.clamp(min=0), rtol=0, atol=0)
    assert torch.equal(free[0], network.skip.weight)
    with torch.no_grad():
        network.log_sharpness.copy_(torch.tensor([-1e4, 1e4]))
    network.project_()
    torch.testing.assert_close(torch.cat(network.sharpness).log10(), torch.tensor([-3.0, 3.0]).double())
    assert torch.equal(free[1], network.quadratic)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_starts_as_the_identity(architecture, x):
    network = DenseICNN(5, **architecture).double()
    value, gradient = network.value_and_gradient(x)
    # The root of the quadratic term is computed in float32.
    torch.testing.assert_close(gradient, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(value, x.square().sum(1) / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_features", [512, 513])
def test_of_many_features_only_the_diagonal_is_squared(n_features):
    torch.manual_seed(0)
    network, guess = DenseICNN(n_features, (8,)), ResidualMap(n_features, (8,))
    x = torch.randn(4, n_features, requires_grad=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.rand_like(weight))
    value, gradient = network.value_and_gradient(x)
    # Rounding of float32, summed over some hundred features.
    torch.testing.assert_close(gradient, torch.autograd.grad(value.sum(), x)[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(guess.gradient(x), x + guess.rest(x), rtol=1e-5, atol=1e-5)
    is_large = n_features > 512
    assert network.quadratic.shape == guess.linear.shape == ((n_features,) if is_large else (n_features, n_features))
