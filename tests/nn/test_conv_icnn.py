"""Properties of the input-convex convolutional network."""

from types import SimpleNamespace

import pytest
import torch

from sklearn_ot.nn import ConvICNN, curvature_bound
from sklearn_ot.nn._conv_icnn import _all_digits
from sklearn_ot.nn._convex_layers import ACTIVATIONS

# Even lengths, odd ones, lengths that become odd after they are halved, a line and a column.
SHAPES = [(4, 4, 3), (5, 7, 3), (6, 3, 1), (1, 5, 2), (4, 1, 1)]


def size(shape):
    return shape[0] * shape[1] * shape[2]


def trained(shape, activation="celu", n_channels=(8, 12, 8), **kwargs):
    """A network in which every term has an effect, and some weights are negative before a projection."""
    torch.manual_seed(0)
    network = ConvICNN(size(shape), shape, n_channels, activation=activation, **kwargs).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    network.project_()
    return network


def rows(shape, n_rows=16, seed=1):
    return 2 * torch.randn(n_rows, size(shape), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=ACTIVATIONS)
def activation(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_is_that_of_autograd(activation, shape):
    network, x = trained(shape, activation), rows(shape).requires_grad_()
    value, gradient = network.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    # The two differ by the order of operations, and so by rounding in float64.
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.gradient(x), gradient)
    torch.testing.assert_close(network(x), value)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_gradients_agree_with_double_backward(activation, shape):
    network, x = trained(shape, activation), rows(shape)
    weights = list(network.parameters())
    closed = torch.autograd.grad(network.gradient(x).square().sum(), weights, allow_unused=True)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    double = torch.autograd.grad(gradient.square().sum(), weights, allow_unused=True)
    for one, other in zip(closed, double, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=1e-9, atol=1e-9)


def test_rows_may_have_any_layout_in_memory():
    network, x = trained((5, 7, 3)), rows((5, 7, 3))
    torch.testing.assert_close(network.gradient(x.T.contiguous().T), network.gradient(x))


def test_float32_gradient_is_that_of_autograd_to_1e_5():
    shape = (16, 16, 3)
    network, x = trained(shape).float(), rows(shape).float().requires_grad_()
    value, gradient = network.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    assert gradient.dtype == torch.float32
    assert (gradient - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_hessian_is_at_least_the_strong_convexity(activation, shape):
    network = trained(shape, activation, strong_convexity=0.05)
    hessians = torch.stack(
        [torch.autograd.functional.jacobian(network.gradient, row[None])[0, :, 0] for row in rows(shape, 4)]
    )
    torch.testing.assert_close(hessians, hessians.mT)
    assert torch.linalg.eigvalsh(hessians).min() >= 0.05 - 1e-9


def test_convex_along_random_segments(activation):
    shape = (5, 7, 3)
    network, a, b = trained(shape, activation), 3 * rows(shape, 300), 3 * rows(shape, 300, seed=2)
    t = torch.rand(300, 1, dtype=torch.float64)
    chord = t[:, 0] * network(a) + (1 - t[:, 0]) * network(b)
    modulus = network.strong_convexity / 2 * (t * (1 - t) * (a - b).square()).sum(1)
    # Strong convexity: the chord is above the function by at least the term of the modulus, up to rounding.
    assert bool((chord - network(t * a + (1 - t) * b) >= modulus - 1e-9 * chord.abs()).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_starts_as_the_identity(activation, shape):
    network, x = ConvICNN(size(shape), shape, (8, 8), activation=activation).double(), rows(shape)
    value, gradient = network.value_and_gradient(x)
    # The root of the quadratic term is computed in float32.
    torch.testing.assert_close(gradient, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(value, x.square().sum(1) / 2, rtol=1e-6, atol=1e-6)


def test_values_are_those_of_the_formula():
    """The formula, with sums over all places in loops."""
    shape = (3, 4, 2)
    network, x = trained(shape, "softplus", (4, 3), kernel_size=3), rows(shape, 2)
    picture, below, expected = x.view(2, *shape), None, 0.0
    for k in range(2):
        if k:  # one line of zeros makes the height 4
            picture = torch.cat([picture, torch.zeros(2, 1, 4, 2)], 1).double()
            picture = picture.view(2, 2, 2, 2, 2, 2).sum((2, 4)) / 2
        height, width = picture.shape[1:3]
        padded = torch.zeros(2, height + 2, width + 2, 2).double()
        padded[:, 1:-1, 1:-1] = picture
        outputs = torch.zeros(2, height, width, len(network.biases[k])).double()
        for i in range(height):
            for j in range(width):
                v = network.biases[k] + torch.einsum("nhwc,uchw->nu", padded[:, i : i + 3, j : j + 3], network.skips[k])
                if k:
                    patch = below[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                    v = v + torch.einsum("nhwc,uchw->nu", patch, network.inner[0][:, :, : patch.shape[1]])
                outputs[:, i, j] = torch.nn.functional.softplus(v)
        expected = expected + outputs.sum((1, 2)) @ network.tops[k]
        below = outputs
    colours = x.view(2, *shape) @ network.quadratic.T
    quadratic = network.strong_convexity * x.square().sum(1) + colours.square().sum((1, 2, 3))
    expected = quadratic / 2 + x @ network.shift + expected
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_the_map_of_a_moved_picture_is_the_moved_map():
    """Far from the edges, by as many places as the deepest layer joins."""
    network = trained((24, 24, 3), n_channels=(4, 4))
    with torch.no_grad():
        network.shift.zero_()
    picture = torch.zeros(1, 24, 24, 3, dtype=torch.float64)
    picture[:, 8:14, 8:14] = torch.randn(6, 6, 3, dtype=torch.float64)
    image, moved = (
        network.gradient(rows.reshape(1, -1)).view(24, 24, 3) for rows in (picture, picture.roll((2, 4), (1, 2)))
    )
    torch.testing.assert_close(image.roll((2, 4), (0, 1))[8:18, 8:20], moved[8:18, 8:20])


def test_projection_removes_exactly_the_negative_weights():
    network = trained((4, 4, 1))
    constrained = [*network.inner, *network.tops]
    with torch.no_grad():
        for weight in network.parameters():
            weight.sub_(0.2)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    network.project_()
    for name, weight in network.named_parameters():
        is_constrained = any(weight is other for other in constrained)
        torch.testing.assert_close(weight, before[name].clamp(min=0) if is_constrained else before[name])
    assert any((before[name] < 0).any() for name in before if name.startswith("inner"))
    assert all(weight is other for weight, other in zip(network.hidden_weights, network.inner, strict=True))


def test_its_curvature_has_no_bound():
    assert curvature_bound(trained((4, 4, 1)), 16) is None


def test_convolutions_on_a_gpu_have_all_digits():
    before = torch.backends.cudnn.allow_tf32
    with _all_digits(SimpleNamespace(is_cuda=True)):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 10}, "A row of 10 features is not a picture of shape"),
        ({"kernel_size": 4}, "kernel_size must be an odd number, got 4"),
        ({"activation": "logsumexp", "n_channels": (6,)}, "cannot be split into pools of 4"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvICNN(**{"n_features": 48, "image_shape": (4, 4, 3), **arguments})
