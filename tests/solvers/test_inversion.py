"""InverseSearch: the inverse of the gradient of a convex function in a fixed number of steps, and its derivative."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sklearn_ot.nn import ConvexPair, DenseICNN, HalfSquare
from sklearn_ot.solvers import inversion
from sklearn_ot.solvers.inversion import InverseSearch, solve_hessian


def bent_pair(n_features, seed=0):
    """A pair whose potential is far from a quadratic one, and whose guess of the inverse is the identity."""
    torch.manual_seed(seed)
    network = (DenseICNN, {"n_features": n_features, "hidden_layer_sizes": (16, 16), "strong_convexity": 0.05})
    pair = ConvexPair(network, (HalfSquare, {}), is_guess=True).double().requires_grad_(False)
    pair.potential.inner[-1].copy_(3 * torch.rand_like(pair.potential.inner[-1]))
    return pair


@pytest.mark.parametrize("n_features", [1, 3, 40])
def test_the_inverse_of_the_gradient(n_features):
    pair = bent_pair(n_features)
    x = torch.randn(20, n_features, dtype=torch.float64)
    y = pair.potential.gradient(x)
    found, excess = InverseSearch(pair)(y)
    # Rounding of the gradient, and the reciprocal of the strong convexity times it.
    assert excess.abs().max() < 1e-10
    torch.testing.assert_close(found, x, rtol=0, atol=1e-8)


def test_a_search_that_ends_early_says_so():
    pair = bent_pair(3)
    search = InverseSearch(pair)
    search.n_steps = 2
    y = 100 * torch.randn(20, 3, dtype=torch.float64)
    found, excess = search(y)
    torch.testing.assert_close(excess, pair.potential.gradient(found) - y)
    start = torch.linalg.vector_norm(pair.potential.gradient(y) - y, dim=1)
    # A row never ends with a larger residual than that of its start.
    assert (torch.linalg.vector_norm(excess, dim=1) <= start).all()


def test_newton_steps_end_a_search_that_is_near(monkeypatch):
    pair = bent_pair(3)
    search = InverseSearch(pair)
    search.n_steps = 10
    y = pair.potential.gradient(torch.randn(20, 3, dtype=torch.float64))
    largest = {}
    for n_newton in (0, inversion.N_NEWTON):
        monkeypatch.setattr(inversion, "N_NEWTON", n_newton)
        largest[n_newton] = search(y)[1].abs().max()
    # Each step squares a small error.
    assert largest[0] > 1e-6
    assert largest[inversion.N_NEWTON] < 1e-12


class Steep(nn.Module):
    """The convex potential √(1 + |x|²) + 0.005 |x|², for which steps of Newton's method from far away are too long."""

    def gradient(self, x):
        return x / (1 + x.square().sum(1, keepdim=True)).sqrt() + 0.01 * x

    def value_and_gradient(self, x):
        return (1 + x.square().sum(1)).sqrt() + 0.005 * x.square().sum(1), self.gradient(x)


def test_a_newton_step_that_is_too_long_is_not_taken():
    pair = SimpleNamespace(potential=Steep(), inverse=SimpleNamespace(gradient=lambda y: 3 + y), rest=None)
    search = InverseSearch(pair)
    search.n_steps = 0
    y = torch.zeros(1, 2, dtype=torch.float64)
    start = torch.linalg.vector_norm(pair.potential.gradient(3 + y))
    step = solve_hessian(search._excess, 3 + y, y, pair.potential.gradient(3 + y))
    assert torch.linalg.vector_norm(pair.potential.gradient(3 + y - step)) > start
    _, excess = search(y)
    assert torch.linalg.vector_norm(excess) <= start


def test_gradients_reach_the_weights():
    pair = bent_pair(2)
    weight = pair.potential.shift.requires_grad_()
    y = torch.randn(5, 2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(InverseSearch(pair)(y)[0].sum(), weight)
    # With the shift s, the inverse at y is that without s at y - s.
    z = y.clone().requires_grad_()
    (of_rows,) = torch.autograd.grad(InverseSearch(pair)(z)[0].sum(), z)
    torch.testing.assert_close(gradient, -of_rows.sum(0), rtol=1e-8, atol=1e-8)


def test_conjugate_gradients_solve_equations_of_rows():
    torch.manual_seed(0)
    factors = torch.randn(5, 6, 6, dtype=torch.float64)
    matrices = factors @ factors.mT + 0.1 * torch.eye(6)
    b = torch.randn(5, 6, dtype=torch.float64)
    # A row of zeros has the solution 0, without a division by 0.
    b[0] = 0
    found = solve_hessian(lambda x, y: (matrices @ x[..., None])[..., 0] - y, torch.zeros_like(b), b, b)
    # The condition numbers are below 10⁴.
    torch.testing.assert_close(found, torch.linalg.solve(matrices, b), rtol=1e-8, atol=1e-8)
