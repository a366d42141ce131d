"""Wasserstein-1 games: the dual, penalties on slopes, their best critics, parallel lines, bias of sample gradients."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.objectives import wgan


def test_the_best_critic_finds_the_distance():
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])

    def critic(x):
        return -x[:, 0]

    assert -wgan.critic_loss(critic, real, fake).item() == wasserstein_distance(real, fake, p=1) == 3.5
    assert wgan.generator_loss(critic, real, fake).item() == 4


@pytest.mark.parametrize("theta", [-0.5, 0.25])
def test_parallel_lines(theta):
    """For distributions on two parallel lines W1 is |θ|, and its gradient moves θ to 0."""
    y = torch.linspace(0, 1, 11)
    shift = torch.tensor(theta, requires_grad=True)
    real, fake = torch.stack([torch.zeros(11), y], 1), torch.stack([shift.expand(11), y], 1)

    def critic(x):
        return -np.sign(theta) * x[:, 0]

    assert -wgan.critic_loss(critic, real, fake).item() == pytest.approx(abs(theta))
    assert wasserstein_distance(real, fake.detach(), p=1) == pytest.approx(abs(theta))
    (gradient,) = torch.autograd.grad(wgan.generator_loss(critic, real, fake), shift)
    assert gradient.item() == np.sign(theta)


@pytest.mark.parametrize(("factor", "both", "one"), [(0.5, 0.25, 0.0), (1.0, 0.0, 0.0), (3.0, 4.0, 4.0)])
def test_penalty_of_a_known_slope(factor, both, one):
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(20, 3, generator=generator) for _ in range(2))

    def function(x):
        return factor * torch.linalg.vector_norm(x - 100, dim=1)

    # The tolerance is the rounding of float32 at a distance of 100.
    assert wgan.slope_penalty(function, real, fake).item() == pytest.approx(both, abs=1e-4)
    assert wgan.slope_penalty(function, real, fake, one_sided=True).item() == pytest.approx(one, abs=1e-4)
    loss = wgan.penalised_critic_loss(function, real, fake, reg=2.0, penalty=wgan.slope_penalty)
    torch.testing.assert_close(loss, wgan.critic_loss(function, real, fake) + 2 * both, atol=1e-3, rtol=0)


def test_the_penalty_is_taken_on_segments():
    seen = []

    def function(x):
        seen.append(x.detach())
        return x.sum(1)

    real, fake = torch.zeros(2000, 2), torch.tensor([1.0, 2.0]).expand(2000, 2)
    wgan.slope_penalty(function, real, fake)
    (between,) = seen
    torch.testing.assert_close(between[:, 1], 2 * between[:, 0])
    t = between[:, 0]
    # A uniform distribution has the mean 1/2 and the variance 1/12; the tolerance is 4 standard errors of 2000 draws.
    assert t.mean() == pytest.approx(1 / 2, abs=4 * (1 / 12 / 2000) ** 0.5)
    assert t.var() == pytest.approx(1 / 12, rel=0.1)
    assert t.min() >= 0
    assert t.max() <= 1


def test_the_penalty_is_differentiable_in_the_critic():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = wgan.slope_penalty(lambda x: x @ weight, torch.zeros(5, 2), torch.ones(5, 2))
    assert penalty.item() == pytest.approx(16)  # (5 − 1)²
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, 2 * 4 * weight.detach() / 5)


@pytest.mark.parametrize(("theta", "n_rows"), [(0.6, 1), (0.9, 5)])
def test_gradients_of_distances_of_samples_are_biased(theta, n_rows):
    """The expected W1 distance to a sample of Bernoulli(θ) is smallest at the median of the sample: at 1, not at θ."""
    grid = np.linspace(0, 1, 101)
    counts = np.arange(n_rows + 1)
    # Between Bernoulli distributions W1 is the difference of the means.
    expected = binom.pmf(counts, n_rows, theta) @ np.abs(counts[:, None] / n_rows - grid)
    assert grid[expected.argmin()] == 1


def test_the_distance_of_bernoulli_samples_is_the_difference_of_their_means():
    for sample in product([0.0, 1.0], repeat=3):
        rows = np.array(sample)[:, None]
        distance = wasserstein_distance(rows, [[0.0], [1.0]], p=1, target_weight=[0.3, 0.7])
        assert distance == pytest.approx(abs(rows.mean() - 0.7))


class PiecewiseLinear(torch.nn.Module):
    """A function of one feature with a constant slope in each cell."""

    def __init__(self, edges, slope):
        super().__init__()
        self.edges = edges
        self.slopes = torch.nn.Parameter(torch.full((len(edges) - 1,), slope, dtype=edges.dtype))

    def forward(self, x):
        x = x[:, 0].contiguous()
        cell = torch.bucketize(x.detach(), self.edges[1:-1])
        rise = (self.slopes * self.edges.diff()).cumsum(0) - self.slopes * self.edges.diff()
        return rise[cell] + self.slopes[cell] * (x - self.edges[cell])


def best_slopes(reg, one_sided, start):
    """The slopes of a trained critic of N(0, 1) and N(3, ½²), its dual value and its objective, and the edges."""
    levels = (torch.arange(50_000, dtype=torch.float64) + 0.5) / 50_000
    real = torch.special.ndtri(levels)
    fake = 3 + real[torch.randperm(len(real), generator=torch.Generator().manual_seed(0))] / 2
    # The edges are so far out that all rows are between them.
    edges = torch.cat([torch.tensor([-10.0]), torch.linspace(-1, 3.5, 10), torch.tensor([10.0])]).double()
    critic = PiecewiseLinear(edges, start)
    optimiser = torch.optim.LBFGS(critic.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss(reg=reg):
        torch.manual_seed(0)  # the same points at each step
        return wgan.penalised_critic_loss(
            critic, real[:, None], fake[:, None], reg=reg, penalty=partial(wgan.slope_penalty, one_sided=one_sided)
        )

    def step():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(step)
    return critic.slopes.detach().numpy(), -loss(reg=0).item(), -loss().item(), edges.numpy()


def excess(reg, edges):
    """|w| / (2 λ σ) in all cells but the outer ones, from the means of |w| and σ."""
    z = (edges[1:-2, None] + np.diff(edges)[1:-1, None] * (np.arange(50) + 0.5) / 50).ravel()
    t = (np.arange(500)[:, None] + 0.5) / 500
    crossing = norm.cdf(z) - norm.cdf(z, 3, 0.5)
    density = norm.pdf(z, 3 * (1 - t), np.hypot(t, (1 - t) / 2)).mean(0)
    return crossing.reshape(-1, 50).mean(1) / density.reshape(-1, 50).mean(1) / (2 * reg)


@pytest.mark.parametrize("reg", [0.3, 10.0])
@pytest.mark.parametrize(("one_sided", "start"), [(True, 2.0), (False, -2.0)])
def test_the_best_critic_is_the_potential_of_a_congested_transport(one_sided, start, reg):
    """Its slope is 1 + |w| / (2 λ σ), and twice the objective minus the dual value is the distance of the rows."""
    slopes, dual, objective, edges = best_slopes(reg, one_sided, start)
    # A cell has more than 1300 points, so that the standard error of its share of them is at most 3 %.
    np.testing.assert_allclose(-slopes[1:-1] - 1, excess(reg, edges), rtol=0.1)
    # It does not depend on σ. Mass crosses in one direction only, so that the distance is the difference of the means.
    assert 2 * objective - dual == pytest.approx(3, rel=1e-4)


def test_a_two_sided_penalty_has_a_local_optimum_with_the_wrong_sign():
    """Of the slopes -1 - |w| / (2 λ σ) and 1 - |w| / (2 λ σ), a start at 1 finds the second."""
    slopes, dual, objective, edges = best_slopes(10.0, False, 1.0)
    np.testing.assert_allclose(1 - slopes[1:-1], excess(10.0, edges), rtol=0.1)
    assert objective < dual < 0
