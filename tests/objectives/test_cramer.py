"""The energy distance of batches: closed forms, unbiased for any number of rows; its game."""

from itertools import product

import pytest
import torch

from sklearn_ot import metrics
from sklearn_ot.objectives import cramer


def batches(theta, n_rows):
    """All batches of a Bernoulli distribution, with their probabilities."""
    for values in product([0.0, 1.0], repeat=n_rows):
        ones = sum(values)
        yield torch.tensor(values, dtype=torch.float64)[:, None], theta**ones * (1 - theta) ** (n_rows - ones)


@pytest.mark.parametrize(("n_real", "n_fake"), [(2, 2), (2, 4), (5, 3)])
@pytest.mark.parametrize(("truth", "theta"), [(0.6, 0.3), (0.9, 0.9)])
def test_unbiased_whatever_the_number_of_rows(n_real, n_fake, truth, theta):
    """Between Bernoulli distributions the energy distance is 2 (θ − θ*)², twice the Cramér distance."""
    mean = sum(
        real_weight * fake_weight * cramer.energy_distance(real, fake)
        for real, real_weight in batches(truth, n_real)
        for fake, fake_weight in batches(theta, n_fake)
    )
    # The distances 1 and 0, smoothed.
    step = (1 + cramer.ROUNDING**2) ** 0.5 - cramer.ROUNDING
    assert mean.item() == pytest.approx(2 * step * (theta - truth) ** 2, abs=1e-12)


def test_agrees_with_the_metric():
    """The metric compares all rows, also those of the same half."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (30, 20))
    within = sum(torch.cdist(*rows.chunk(2)).mean() - torch.cdist(rows, rows).mean() for rows in (real, fake))
    expected = metrics.energy_distance(real, fake) - within
    assert cramer.energy_distance(real, fake).item() == pytest.approx(expected.item(), abs=1e-5)  # the rounding


def test_the_game():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(40, 2, generator=generator), torch.randn(40, 2, generator=generator) + 1

    def embed(x):
        return 2 * x

    assert cramer.energy_loss(embed, real, fake) == cramer.energy_distance(2 * real, 2 * fake)
    first, second = 2 * fake[:20], 2 * fake[20:]
    f_real = torch.cdist(2 * real, 2 * fake).mean() - (2 * real).norm(dim=1).mean()
    f_fake = torch.cdist(first, second).mean() - (2 * fake).norm(dim=1).mean()
    loss = cramer.critic_loss(embed, real, fake, reg=0.0)
    torch.testing.assert_close(loss, f_fake - f_real, atol=1e-5, rtol=0)  # the rounding
    assert cramer.witness_loss(embed, real, fake) == -loss
    # Between the origin and the samples, f is a sum of two distances of embedded rows, with the slope 2 · 2.
    far, near = torch.full((40, 1), 0.0), torch.full((40, 1), 1e4)
    penalty = cramer.critic_loss(lambda x: 2 * (x - 3e4), far, near, reg=1.0)
    penalty = penalty - cramer.critic_loss(lambda x: 2 * (x - 3e4), far, near, reg=0.0)
    # From the data to the samples, −|h| and |h − h(y)| change with slopes of ±2; here they cancel.
    assert penalty.item() == pytest.approx(1, abs=0.02)


def test_finite_gradients_where_rows_meet():
    real = torch.zeros(4, 2)
    fake = torch.zeros(4, 2, requires_grad=True)
    scale = torch.ones(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(cramer.energy_distance(real, fake), fake)
    assert torch.isfinite(gradient).all()
    (gradient,) = torch.autograd.grad(cramer.critic_loss(lambda x: scale * x, real, fake.detach(), reg=1.0), scale)
    assert torch.isfinite(gradient).all()
