"""The expectile-regularised objective of Wasserstein-2 maps."""

import pytest
import torch
from torch import nn

from sklearn_ot.nn import DenseICNN, PotentialPair
from sklearn_ot.objectives.expectile import expectile, expectile_loss


class Quadratic(nn.Module):
    """½ a ‖x‖², whose conjugate is ½ ‖y‖² / a."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, x):
        return self.a * x.square().sum(1) / 2

    def gradient(self, x):
        return self.a * x

    def value_and_gradient(self, x):
        return self(x), self.gradient(x)


def quadratic_gradients(a, b, x, y, **parameters):
    """Derivatives of the objective in the factors a of ψ and b of ω."""
    pair = PotentialPair(Quadratic(a), Quadratic(b))
    expectile(pair, x, y, **parameters).backward()
    return pair.potential.a.grad.item(), pair.inverse.a.grad.item()


def half_mean_square(rows):
    return rows.square().sum(1).mean().item() / 2


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(200, 3, dtype=torch.float64, generator=generator), 2 * torch.randn(
        300, 3, dtype=torch.float64, generator=generator
    )


@pytest.fixture
def pair():
    """Networks that are neither quadratic nor conjugate to each other."""
    torch.manual_seed(0)
    pair = PotentialPair(DenseICNN(3, (8, 8)), DenseICNN(3, (8, 8))).double()
    with torch.no_grad():
        for network in (pair.potential, pair.inverse):
            network.inner[-1].uniform_(0, 1)
    return pair


def test_expectile_loss():
    """Its minimiser over a constant is the expectile: τ-weighted residuals above balance those below."""
    rows = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    assert expectile_loss(rows - 2, 0.9).item() == pytest.approx((0.1 * 4 + 0.1 * 1 + 0.9 * 9) / 3)
    assert expectile_loss(rows - 2, 0.5).item() == pytest.approx(14 / 2 / 3)


def test_value_at_conjugate_quadratics(batches):
    """The correlations, plus the squares of ‖y − a x‖² / (2 a) of all pairs, with weight 1 − τ."""
    x, y = batches
    a, tau = 1.7, 0.9
    pair = PotentialPair(Quadratic(a), Quadratic(1 / a))
    correlations = a * half_mean_square(x) + half_mean_square(y) / a
    assert expectile(pair, x, y, reg=0.0).item() == pytest.approx(correlations, rel=1e-12)
    slack = (y - a * x[:, None]).square().sum(2) / (2 * a)
    expected = correlations + 3 / x.shape[1] * (1 - tau) * slack.square().mean().item()
    assert expectile(pair, x, y, reg=3.0, tau=tau).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_features", [2, 256])
def test_weight_suits_any_number_of_features(n_features):
    """At the start, for normal rows: the correlations are d, and E‖x − y‖⁴/4 = d² + 2 d must not outgrow them."""
    x, y = torch.randn(2, 2000, n_features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pair = PotentialPair(Quadratic(1.0), Quadratic(1.0))
    correlations, regularised = (expectile(pair, x, y, reg=reg, tau=0.9).item() for reg in (0.0, 1.0))
    # Means over 2000 rows of each sample.
    assert (regularised - correlations) / correlations == pytest.approx(0.1 * (1 + 2 / n_features), rel=0.1)


def test_stationary_at_the_optimal_scale(batches):
    """With y = a x, u is symmetric in the rows, so the regulariser has no gradient for any τ."""
    x, _ = batches
    assert quadratic_gradients(1.7, 1 / 1.7, x, 1.7 * x, reg=3.0, tau=0.9) == pytest.approx((0, 0), abs=1e-10)


@pytest.mark.parametrize("wrong", [0.8, 1.25])
def test_descent_moves_each_network_towards_its_solution(wrong, batches):
    """Conjugate networks both move to the optimal scale; each moves to the conjugate of the other at its optimum."""
    x, _ = batches
    optimum = 1.7
    y, a, b = optimum * x, wrong * optimum, wrong / optimum
    grad_a, grad_b = quadratic_gradients(a, 1 / a, x, y, reg=0.0)
    assert grad_a * (a - optimum) > 0
    assert grad_b * (1 / a - 1 / optimum) > 0
    # In a game in one direction, a network at its own optimum would not move; here the wrong one moves back.
    _, grad_b = quadratic_gradients(optimum, b, x, y, reg=0.0)
    assert grad_b * (b - 1 / optimum) > 0
    grad_a, _ = quadratic_gradients(a, 1 / optimum, x, y, reg=0.0)
    assert grad_a * (a - optimum) > 0


@pytest.mark.parametrize("b", [1.0, 0.5])
def test_only_a_wrong_argmax_is_punished_at_tau_1(b, batches):
    """Fenchel and Young: no pair of rows exceeds 0 by more than the error of the argmax; with none, none does."""
    x, _ = batches
    a = 1.7
    pair = PotentialPair(Quadratic(a), Quadratic(b / a))
    punished = (expectile(pair, x, a * x, reg=1.0, tau=1.0) - expectile(pair, x, a * x, reg=0.0)).item()
    slack = (x - x[:, None]).square().sum(2) / 2
    norms = x.square().sum(1) / 2
    excess = a * ((1 - b) ** 2 * norms - slack), a * ((1 - b) * (norms - norms[:, None]) - slack)
    expected = sum(part.clamp(min=0).square().mean().item() for part in excess) / 2 / x.shape[1]
    assert (expected > 0) == (b != 1)
    # The difference of two sums of size 10.
    assert punished == pytest.approx(expected, abs=1e-13)


def test_regulariser_closes_the_excess(batches):
    """If ⟨x, y⟩ exceeds ψ(x) + ψ̂(y), a step down the gradient of the regulariser lowers the excess."""
    x, _ = batches
    y = 1.7 * x
    with_reg = quadratic_gradients(1.7, 0.5 / 1.7, x, y, reg=1.0, tau=1.0)
    without = quadratic_gradients(1.7, 0.5 / 1.7, x, y, reg=0.0)
    # With x̂ = x/2 the change of ψ(x) is larger than that of ψ(x̂): the excess falls as a rises.
    assert with_reg[0] < without[0]


def test_gradients_are_those_of_two_games(pair, batches):
    """Each net descends as the dual potential at a fixed argmax, and ascends as the argmax of the other."""
    x, y = batches
    reg, tau = 0.3, 0.9
    expectile(pair, x, y, reg=reg, tau=tau).backward()

    def dual(potential, x, y, x_hat):
        value, conjugate = potential(x), (x_hat * y).sum(1) - potential(x_hat)
        loss = value.mean() + conjugate.mean()
        excess = (y @ x.T - value - conjugate[:, None]).flatten()
        above, below = excess.clamp(min=0), excess.clamp(max=0)
        return loss + reg / x.shape[1] * (tau * above.square() + (1 - tau) * below.square()).mean()

    def argmax(potential, y, x_hat):
        return -((x_hat * y).sum(1) - potential(x_hat)).mean()

    x_hat, y_hat = pair.inverse.gradient(y), pair.potential.gradient(x)
    expected = {
        "potential": dual(pair.potential, x, y, x_hat.detach()) + argmax(pair.inverse, x, y_hat),
        "inverse": dual(pair.inverse, y, x, y_hat.detach()) + argmax(pair.potential, y, x_hat),
    }
    for name, loss in expected.items():
        weights = list(getattr(pair, name).parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(loss / 2, weights, retain_graph=True), strict=True):
            # Sums of some ten thousand terms of size up to 100 in float64.
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-9, atol=1e-9)
