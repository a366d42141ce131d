"""InverseSearch: the inverse of the gradient of a convex function in a fixed number of steps, and its derivative."""

import pytest
import torch

from sklearn_ot.nn import ConvexPair, DenseICNN, HalfSquare
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
