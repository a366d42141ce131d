"""The regression of a generator on assigned points."""

import pytest
import torch
from torch import nn

from sklearn_ot.objectives.semidiscrete import assigned_regression


def test_a_weighted_mean_of_squares():
    z, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 0.0], [3.0, 2.0]])
    # Squared norms 1 and 9.
    assert assigned_regression(nn.Identity(), z, y, torch.ones(2)).item() == 5
    assert assigned_regression(nn.Identity(), z, y, torch.tensor([1.5, 0.5])).item() == pytest.approx(3)


def test_the_best_constant_is_the_weighted_mean():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.tensor([2.0, 0.5]))

        def forward(self, z):
            return self.value.expand(len(z), 2)

    generator, y = Constant(), torch.tensor([[1.0, 1.0], [3.0, 0.0], [3.0, 0.0]])
    assigned_regression(generator, torch.zeros(3, 1), y, torch.tensor([1.5, 0.75, 0.75])).backward()
    torch.testing.assert_close(generator.value.grad, torch.zeros(2))
