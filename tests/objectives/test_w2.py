"""The objectives of Wasserstein-2 maps."""

import pytest
import torch
from torch import nn

from sklearn_ot.nn import DenseICNN, PotentialPair, ResidualMap
from sklearn_ot.objectives.w2 import exact_dual, regression, w2gn


class Quadratic(nn.Module):
    """½ Σ aᵢ xᵢ², whose conjugate is ½ Σ yᵢ² / aᵢ; one number a is that of all features."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.as_tensor(a, dtype=torch.float64))

    def forward(self, x):
        return (self.a * x.square()).sum(1) / 2

    def gradient(self, x):
        return self.a * x

    def value_and_gradient(self, x):
        return self(x), self.a * x


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(200, 3, dtype=torch.float64, generator=generator), 2 * torch.randn(
        300, 3, dtype=torch.float64, generator=generator
    )


def test_value_at_conjugate_quadratics(batches):
    """The cycle terms are 0, and the correlations are E ψ + E ψ*."""
    x, y = batches
    loss = w2gn(PotentialPair(Quadratic(1.7), Quadratic(1 / 1.7)), x, y, reg=5.0)
    expected = 1.7 * x.square().sum(1).mean() / 2 + y.square().sum(1).mean() / 2 / 1.7
    torch.testing.assert_close(loss, expected)


def test_cycle_terms(batches):
    """With maps x -> a x and y -> b y both cycles have the relative error ab − 1."""
    x, y = batches
    a, b = 1.5, 0.5
    pair = PotentialPair(Quadratic(a), Quadratic(b))
    squares = x.square().sum(1).mean() + y.square().sum(1).mean()
    difference = w2gn(pair, x, y, reg=4.0) - w2gn(pair, x, y, reg=0.0)
    torch.testing.assert_close(difference, (a * b - 1) ** 2 * squares)


def test_stationary_at_the_optimal_scale(batches):
    """If the second moments differ by a factor, the best a is the ratio of the standard deviations."""
    x, y = batches
    a = (y.square().sum(1).mean() / x.square().sum(1).mean()).sqrt().item()
    pair = PotentialPair(Quadratic(a), Quadratic(1 / a))
    w2gn(pair, x, y, reg=3.0).backward()
    for network in (pair.potential, pair.inverse):
        assert abs(network.a.grad.item()) < 1e-10


def test_correlations_are_not_differentiated_through_the_argmax(batches):
    """Without the cycle terms ω has no gradient, and that of ψ is taken with the argmax held fixed."""
    x, y = batches
    torch.manual_seed(0)
    pair = PotentialPair(DenseICNN(3, (8, 8)), DenseICNN(3, (8, 8))).double()
    with torch.no_grad():
        for network in (pair.potential, pair.inverse):
            network.inner[-1].uniform_(0, 1)
    w2gn(pair, x, y, reg=0.0).backward()
    # Zero up to the rounding of terms that cancel.
    assert all(weight.grad.abs().max() < 1e-10 for weight in pair.inverse.parameters())
    x_hat = pair.inverse.gradient(y).detach()
    loss = pair.potential(x).mean() - pair.potential(x_hat).mean()
    for weight, expected in zip(
        pair.potential.parameters(), torch.autograd.grad(loss, list(pair.potential.parameters())), strict=True
    ):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-9, atol=1e-9)


def test_conjugate_at_exact_quadratics(batches):
    """The searches and the start are exact, so the objective is E ψ + E ψ*."""
    x, y = batches
    loss = exact_dual(PotentialPair(Quadratic(1.7), Quadratic(1 / 1.7)), x, y, reg=0.0)
    expected = 1.7 * x.square().sum(1).mean() / 2 + y.square().sum(1).mean() / 2 / 1.7
    torch.testing.assert_close(loss, expected)


def test_conjugate_has_the_envelope_gradient(batches):
    """The derivative in a, m/2 − n/(2a²), does not depend on a bad start ω, and ω moves towards 1/a."""
    x, y = batches
    pair = PotentialPair(Quadratic(1.7), Quadratic(0.9))
    exact_dual(pair, x, y, reg=0.0, tol=1e-8, max_iter=50).backward()
    m, n = (sample.square().sum(1).mean() for sample in batches)
    torch.testing.assert_close(pair.potential.a.grad, m / 2 - n / (2 * 1.7**2))
    torch.testing.assert_close(pair.inverse.a.grad, (0.9 - 1 / 1.7) * n)


def test_exact_searches_see_how_a_flat_map_stretches(batches):
    """With a stretch of .01 all residuals are small at 0, and the usual search leaves the rows there."""
    x = batches[0] / 4
    a, stretch, tol = 0.01, 0.02, 1e-3
    expected = (1 - (stretch / a) ** 2) * x.square().sum(1).mean() / 2
    errors = []
    for options in ({}, {"tol": tol, "newton_iter": 10}):
        pair = PotentialPair(Quadratic(a), Quadratic(0.0))
        exact_dual(pair, x, stretch * x, reg=0.0, **options).backward()
        errors.append(abs(pair.potential.a.grad / expected - 1))
    assert errors[0] > 1
    # The size of x̂ is 2 √3 / 4, and its error at most the residual of √3 tol, divided by a.
    assert errors[1] < 4 / 3 * 2 * (tol / a) / (2 / 4)


def test_searches_find_the_preimages_of_a_map_with_small_and_large_stretches():
    """The gradient in the stretches a is minus half the mean squares of the preimages y / a, if x is 0.

    From the guess y, ten steps have a relative error of .21 in this gradient, mostly where the map is flat, and the
    default has .07.
    """
    a = torch.logspace(-1, 0.7, 64, dtype=torch.float64)
    y = torch.randn(200, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * a.sqrt()
    pair = PotentialPair(Quadratic(a), Quadratic(1.0))
    exact_dual(pair, torch.zeros_like(y), y, reg=0.0).backward()
    expected = -(y / a).square().mean(0) / 2
    assert (pair.potential.a.grad - expected).norm() < 0.1 * expected.norm()


def test_conjugate_pull(batches):
    x, y = batches
    pair = PotentialPair(Quadratic(1.7), Quadratic(1 / 1.7))
    difference = exact_dual(pair, x, y, reg=4.0) - exact_dual(pair, x, y, reg=0.0)
    torch.testing.assert_close(difference, 2 * 0.7**2 * x.square().sum(1).mean())


def test_conjugate_is_stationary_at_the_optimal_scale(batches):
    x, y = batches
    a = (y.square().sum(1).mean() / x.square().sum(1).mean()).sqrt().item()
    pair = PotentialPair(Quadratic(a), Quadratic(1 / a))
    exact_dual(pair, x, y, reg=0.0).backward()
    for network in (pair.potential, pair.inverse):
        assert abs(network.a.grad.item()) < 1e-10


def test_regression_takes_each_map_to_its_own_partner(batches):
    x, _ = batches
    pairs = torch.cat([x, 2 * x], dim=1)
    pair = PotentialPair(Quadratic(1.5), Quadratic(0.5))
    torch.testing.assert_close(regression(pair, pairs, pairs[:50]), 0.5**2 * x.square().sum(1).mean() / 2)


def test_a_residual_map_starts_at_the_identity():
    torch.manual_seed(0)
    y = torch.randn(20, 3)
    guess = ResidualMap(3, (8,))
    assert torch.equal(guess.gradient(y), y)
    (gradient,) = torch.autograd.grad(guess.gradient(y).square().sum(), guess.linear)
    torch.testing.assert_close(gradient, 2 * y.T @ y)
