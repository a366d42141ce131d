"""Potentials on a subspace."""

import torch

from sklearn_ot.nn import DenseICNN, SubspacePotential
from sklearn_ot.solvers.conjugate import convex_conjugate


def a_potential():
    torch.manual_seed(0)
    network = DenseICNN(2, (8,)).double()
    torch.nn.init.uniform_(network.inner[-1])
    axes, _ = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64))
    return SubspacePotential(network, axes).requires_grad_(False)


def test_the_gradient_is_that_of_the_value():
    potential, x = a_potential(), torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(potential(x).sum(), x)
    value, gradient = potential.value_and_gradient(x)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(potential.gradient(x), expected)
    torch.testing.assert_close(value, potential(x))


def test_what_lies_across_stays_as_it_is():
    potential, x = a_potential(), torch.randn(4, 5, dtype=torch.float64)
    axes = potential.axes
    moved = potential.gradient(x) - x
    assert moved.norm() > 1
    torch.testing.assert_close(moved, moved @ axes @ axes.T)
    torch.testing.assert_close((x + moved) @ axes, potential.potential.gradient(x @ axes))
    inverse = convex_conjugate(potential.value_and_gradient, x, x, tol=1e-10, max_iter=1000).argmax
    torch.testing.assert_close(inverse - x, (inverse - x) @ axes @ axes.T)
