"""The minimax objectives of Wasserstein-2 maps."""

import pytest
import torch
from torch import nn

from sklearn_ot.nn import DenseICNN, PotentialPair
from sklearn_ot.objectives.minimax import conjugate_at, minimax, minimax_v1

OBJECTIVES = [minimax, minimax_v1]


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


def quadratic_gradients(objective, a, b, x, y, **parameters):
    """Derivatives of the objective in the factors a of ψ and b of ω."""
    pair = PotentialPair(Quadratic(a), Quadratic(b))
    objective(pair, x, y, **parameters).backward()
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


def assert_gradients(network, expected_loss):
    """The gradients of a network are those of the expected loss."""
    expected = torch.autograd.grad(expected_loss, list(network.parameters()))
    for weight, gradient in zip(network.parameters(), expected, strict=True):
        # Sums of a few hundred terms of size 1 to 100 in float64.
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("objective", "reg"), [(minimax, 5.0), (minimax_v1, 0.0)])
def test_value_at_conjugate_quadratics(objective, reg, batches):
    """The objective is that of the correlations, E ψ + E ψ*; the search of `minimax_v1` has a tolerance of 1e-3."""
    x, y = batches
    loss = objective(PotentialPair(Quadratic(1.7), Quadratic(1 / 1.7)), x, y, reg=reg)
    assert loss.item() == pytest.approx(1.7 * half_mean_square(x) + half_mean_square(y) / 1.7, rel=1e-6)


@pytest.mark.parametrize(("objective", "reg"), [(minimax, 3.0), (minimax_v1, 0.0)])
def test_stationary_at_the_optimal_scale(objective, reg, batches):
    """If the second moments differ by a factor, the best a is the ratio of the standard deviations."""
    x, y = batches
    a = (half_mean_square(y) / half_mean_square(x)) ** 0.5
    gradients = quadratic_gradients(objective, a, 1 / a, x, y, reg=reg)
    # The search solves a quadratic in two steps, to rounding.
    assert gradients == pytest.approx((0, 0), abs=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("wrong", [0.8, 1.25])
def test_descent_moves_each_network_towards_its_solution(objective, wrong, batches):
    """ψ moves to the optimal scale if ω is its conjugate, and ω moves to the conjugate of ψ."""
    x, y = batches
    optimum = (half_mean_square(y) / half_mean_square(x)) ** 0.5
    a = wrong * optimum
    grad_a, _ = quadratic_gradients(objective, a, 1 / a, x, y, reg=0.0)
    assert grad_a * (a - optimum) > 0
    b = wrong / optimum
    _, grad_b = quadratic_gradients(objective, optimum, b, x, y, reg=0.0)
    assert grad_b * (b - 1 / optimum) > 0


def test_minimax_gradients_in_closed_form(batches):
    """At scales a, b the game is a E‖x‖²/2 + (b − a b²/2) E‖y‖², and both maps differ from the inverse by a b − 1."""
    x, y = batches
    a, b, reg = 1.5, 0.4, 2.0
    square_x, square_y = 2 * half_mean_square(x), 2 * half_mean_square(y)
    grad_a = square_x / 2 - b**2 * square_y / 2 + reg * b * (a * b - 1) * square_y
    grad_b = -(1 - a * b) * square_y + reg * a * (a * b - 1) * square_x
    assert quadratic_gradients(minimax, a, b, x, y, reg=reg) == pytest.approx((grad_a, grad_b), rel=1e-12)


@pytest.mark.parametrize("reg", [0.0, 7.0])
def test_minimax_plays_the_published_game(reg, pair, batches):
    """ψ descends with the argmax held fixed, ω ascends; each is regressed on an inverse that is held fixed."""
    x, y = batches
    loss = minimax(pair, x, y, reg=reg)
    loss.backward()
    x_hat, y_hat = pair.inverse.gradient(y), pair.potential.gradient(x)
    game = pair.potential(x).mean() + ((x_hat * y).sum(1) - pair.potential(x_hat)).mean()
    there = (pair.potential.gradient(x_hat.detach()) - y).square().sum(1).mean()
    back = (pair.inverse.gradient(y_hat.detach()) - x).square().sum(1).mean()
    assert loss.item() == pytest.approx((game + reg / 2 * (there + back)).item(), rel=1e-12)
    fixed = pair.potential(x).mean() - pair.potential(x_hat.detach()).mean()
    assert_gradients(pair.potential, fixed + reg / 2 * there)
    assert_gradients(pair.inverse, -game + reg / 2 * back)


def test_minimax_v1_searches_the_argmax(pair, batches):
    """With enough steps ψ has the envelope gradient of its dual for every ω, and ω is regressed on the argmax."""
    x, y = batches
    minimax_v1(pair, x, y, reg=0.0, max_iter=500).backward()
    x_hat = y.clone().requires_grad_()
    search = torch.optim.LBFGS([x_hat], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def negative():
        search.zero_grad()
        loss = (pair.potential(x_hat) - (x_hat * y).sum(1)).sum()
        (x_hat.grad,) = torch.autograd.grad(loss, [x_hat])
        return loss

    search.step(negative)
    x_hat = x_hat.detach()
    errors = [
        (pair.potential, pair.potential(x).mean() - pair.potential(x_hat).mean()),
        (pair.inverse, (pair.inverse.gradient(y) - x_hat).square().sum(1).mean() / 2),
    ]
    for network, loss in errors:
        for weight, expected in zip(
            network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True
        ):
            # Residuals of 1e-3 over a curvature of about 1 move the argmax by 1e-3, relative to a size of 1.
            assert (weight.grad - expected).norm() < 1e-2 * (1 + expected.norm())


def test_minimax_v1_pulls_the_map_towards_the_identity(pair, batches):
    """λ adds λ/2 E‖∇ψ(x) − x‖², which only has a gradient for ψ."""
    x, y = batches
    gradients = []
    for reg in (0.0, 7.0):
        pair.zero_grad()
        minimax_v1(pair, x, y, reg=reg).backward()
        gradients.append([weight.grad.clone() for weight in pair.parameters()])
    pull = 7 / 2 * (pair.potential.gradient(x) - x).square().sum(1).mean()
    expected = torch.autograd.grad(pull, list(pair.parameters()), allow_unused=True)
    for without, with_reg, difference in zip(*gradients, expected, strict=True):
        difference = torch.zeros_like(without) if difference is None else difference
        torch.testing.assert_close(with_reg - without, difference, rtol=1e-9, atol=1e-9)


def test_conjugate_at_a_guess(pair, batches):
    """It returns a lower bound of the conjugate, tight at the argmax, and a zero whose gradient raises the bound."""
    x, _ = batches
    y = pair.potential.gradient(x).detach()
    best, _, _ = conjugate_at(pair.potential, x, y)
    guess = (x + 0.1).requires_grad_()
    value, _, ascent = conjugate_at(pair.potential, guess, y)
    assert (value < best).all()
    assert (ascent == 0).all()
    (gradient,) = torch.autograd.grad(ascent.sum(), [guess])
    better, _, _ = conjugate_at(pair.potential, guess - 1e-3 * gradient, y)
    assert (better > value).all()
    assert torch.autograd.grad(value.sum(), [guess], allow_unused=True) == (None,)
