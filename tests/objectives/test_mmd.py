"""The kernel discrepancy of batches: closed forms, unbiased, and its game."""

import math
from itertools import product

import pytest
import torch

from sklearn_ot.objectives import mmd

both_kernels = pytest.mark.parametrize("name", ["gaussian", "rational-quadratic"])


@both_kernels
def test_kernel_values(name):
    a, b = torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    shape = (lambda t: math.exp(-t)) if name == "gaussian" else (lambda t: 1 / (1 + t))
    expected = sum(shape(25 / 2 / scale**2) for scale in mmd.SCALES) / len(mmd.SCALES)
    assert mmd.kernel(a, b, name).tolist()[0] == pytest.approx([1.0, expected], rel=1e-5)


@both_kernels
def test_unbiased(name):
    """Between Bernoulli distributions the squared discrepancy is 2 (θ − θ*)² (1 − k(0, 1)), on average over batches."""
    truth, theta, n_rows = 0.6, 0.2, 3
    rows = [torch.tensor(values, dtype=torch.float64)[:, None] for values in product([0.0, 1.0], repeat=n_rows)]

    def probability(batch, theta):
        ones = batch.sum().item()
        return theta**ones * (1 - theta) ** (n_rows - ones)

    mean = sum(
        probability(real, truth) * probability(fake, theta) * mmd.squared_mmd(real, fake, kernel_name=name)
        for real in rows
        for fake in rows
    )
    apart = 1 - mmd.kernel(torch.zeros(1, 1).double(), torch.ones(1, 1).double(), name).item()
    assert mean.item() == pytest.approx(2 * (theta - truth) ** 2 * apart, abs=1e-12)


@both_kernels
def test_the_game(name):
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(40, 2, generator=generator), torch.randn(40, 2, generator=generator) + 1

    def identity(x):
        return x

    discrepancy = mmd.squared_mmd(real, fake, kernel_name=name)
    assert discrepancy > 0
    assert mmd.generator_loss(identity, real, fake, kernel_name=name) == discrepancy
    # An isometry has no penalty, and an embedding that stretches by 3 has the penalty λ (3 − 1)².
    assert mmd.critic_loss(identity, real, fake, reg=5.0, kernel_name=name) == -discrepancy
    costs = [mmd.critic_loss(lambda x: 3 * x, real, fake, reg=reg, kernel_name=name) for reg in (5.0, 0.0)]
    assert (costs[0] - costs[1]).item() == pytest.approx(5 * 4, rel=1e-3)
    difference = [mmd.witness(rows, real, fake, kernel_name=name).mean() for rows in (real, fake)]
    # The definition has all pairs, not only those of two halves.
    within = sum(mmd.kernel(rows, rows, name).mean() - mmd.kernel(*rows.chunk(2), name).mean() for rows in (real, fake))
    torch.testing.assert_close(difference[0] - difference[1], discrepancy + within)


def test_a_heavy_tail_is_felt_far_away():
    real, fake = torch.zeros(5, 1), torch.full((5, 1), 30.0, requires_grad=True)
    slopes = [
        torch.autograd.grad(mmd.squared_mmd(real, fake, kernel_name=name), fake)[0].abs().sum()
        for name in ("gaussian", "rational-quadratic")
    ]
    assert slopes[0] == 0
    assert slopes[1] > 1e-4
