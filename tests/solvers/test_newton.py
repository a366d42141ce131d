"""Newton's method for convex conjugates against closed forms."""

import pytest
import torch

from sklearn_ot.nn import DenseICNN
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.newton import LONGEST, newton_conjugate


def quadratic(A):
    """½ x'Ax with its gradient."""
    return lambda x: (((x @ A) * x).sum(1) / 2, x @ A)


def test_one_step_solves_a_quadratic_of_any_condition():
    A = torch.tensor([[1e-2, 1e-3], [1e-3, 30.0]], dtype=torch.float64)
    expected = torch.tensor([[0.3, 0.2], [-0.4, 0.1]], dtype=torch.float64)
    y = expected @ A
    found = newton_conjugate(quadratic(A), y, torch.zeros_like(y), tol=1e-12, max_iter=1)
    torch.testing.assert_close(found.argmax, expected)
    torch.testing.assert_close(found.value, (expected * y).sum(1) / 2)
    assert found.residual.max() < 1e-12
    assert found.n_iter == 1


@pytest.fixture(scope="module")
def clusters():
    """A potential with bends, whose gradient takes cells to clusters in which it stretches by .01, and its points."""
    torch.manual_seed(0)
    network = DenseICNN(2, (24,), activation="logsumexp", rank=0, sharpness=30.0).double()
    with torch.no_grad():
        network.quadratic.zero_()
        network.inner[-1].fill_(0.5)
    x = torch.randn(200, 2, dtype=torch.float64)
    with torch.no_grad():
        return network, x, network.gradient(x)


def test_finds_maximisers_where_the_map_is_nearly_flat(clusters):
    """A residual of .01 leaves errors of tenths; the result has at most its residual, divided by the stretch."""
    network, x, y = clusters
    other = convex_conjugate(network.value_and_gradient, y, torch.zeros_like(y), tol=1e-2)
    assert other.residual.max() <= 1e-2
    assert (other.argmax - x).norm(dim=1).mean() > 0.1
    found = newton_conjugate(network.value_and_gradient, y, torch.zeros_like(y), tol=1e-6, max_iter=100)
    assert found.residual.max() <= 1e-6
    torch.testing.assert_close(found.argmax, x, rtol=0, atol=1e-6 / 1e-2)
    # Fenchel: equality at the argmax.
    torch.testing.assert_close(found.value, (x * y).sum(1) - network(x), rtol=0, atol=1e-9)


def test_no_row_ends_worse_than_it_started(clusters):
    """After any number of steps, from starts across the bends; a value may only be worse by rounding."""
    network, _, y = clusters
    found = [newton_conjugate(network.value_and_gradient, y, y.flip(0), tol=0.0, max_iter=n) for n in range(12)]
    gains = torch.stack([each.value for each in found]).diff(dim=0)
    assert gains.min() >= -1e-12
    moves = torch.stack([each.argmax for each in found]).diff(dim=0).norm(dim=2)
    assert moves.max() <= LONGEST * (1 + 1e-12)


def test_rows_that_have_converged_stay_as_they_are(clusters):
    network, x, y = clusters
    start = x + 1e-3
    before = newton_conjugate(network.value_and_gradient, y, start, max_iter=0)
    assert torch.equal(before.argmax, start)
    tol = before.residual.median().item()
    after, is_done = newton_conjugate(network.value_and_gradient, y, start, tol=tol), before.residual <= tol
    assert 0 < is_done.sum() < len(y)
    assert (after.residual <= tol).all()
    for old, new in zip(before[:3], after[:3], strict=True):
        assert torch.equal(old[is_done], new[is_done])
        assert (old[~is_done] != new[~is_done]).all()
    assert newton_conjugate(network.value_and_gradient, y, after.argmax, tol=tol).n_iter == 0


def test_where_a_hessian_is_zero_the_search_goes_down_the_gradient():
    """Σ x⁴ / 4 at 0 has no curvature; the maximiser is the cube root of y."""

    def quartic(x):
        return x.square().square().sum(1) / 4, x**3

    y = torch.tensor([[0.125, -0.064]], dtype=torch.float64)
    found = newton_conjugate(quartic, y, torch.zeros_like(y), tol=1e-10, max_iter=50)
    torch.testing.assert_close(found.argmax, torch.tensor([[0.5, -0.4]], dtype=torch.float64))


def test_the_search_of_a_caller_leaves_no_gradients(clusters):
    network, x, y = clusters
    found = newton_conjugate(network.value_and_gradient, y, x, tol=0.0, max_iter=2)
    assert not any(tensor.requires_grad for tensor in found[:3])
    assert all(weight.grad is None for weight in network.parameters())


def test_a_rest_is_part_of_the_function():
    y, factors = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0, 4.0]])

    def rest(x, y):
        scale = 1 + y.square().sum(1)
        return scale * x.square().sum(1) / 2, scale[:, None] * x

    conjugate = newton_conjugate(
        lambda x: ((factors * x.square()).sum(1) / 2, factors * x), y, torch.zeros_like(y), tol=1e-6, rest=rest
    )
    expected = y / (factors + 1 + y.square().sum(1, keepdim=True))
    torch.testing.assert_close(conjugate.argmax, expected, rtol=0, atol=1e-5)
