"""The dual of Wasserstein-1 with a penalty on steep slopes."""

import pytest
import torch

from sklearn_ot.nn import MLP
from sklearn_ot.objectives.w1 import dual_and_excess


class Function(torch.nn.Module):
    gradient, value_and_gradient = MLP.gradient, MLP.value_and_gradient

    def __init__(self, function):
        super().__init__()
        self.forward = function


@pytest.mark.parametrize(("slope", "expected"), [(3.0, 4.0), (1.0, 0.0), (0.5, 0.0)])
def test_linear_potential(slope, expected):
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    y = x - torch.tensor([2.0, 5.0])
    dual, excess = dual_and_excess(Function(lambda z: slope * z[:, 0]), x, y)
    torch.testing.assert_close(dual, torch.tensor(2 * slope))
    torch.testing.assert_close(excess, torch.tensor(expected))


def test_slopes_in_the_rows_and_between_them():
    """The slope of ½ z² at 2 t is 2 t; t is 0 or 1 with probability 1/3 each, or evenly distributed."""
    torch.manual_seed(0)
    _, excess = dual_and_excess(
        Function(lambda z: z[:, 0].square() / 2), *torch.tensor([2.0, 0.0]).expand(20_000, 2).T[..., None]
    )
    # 1/3 + 1/3 ∫ max(2 t - 1, 0)² dt, up to three standard errors.
    assert excess.item() == pytest.approx(1 / 3 + 1 / 18, abs=0.01)


def test_gradient_of_the_penalty():
    slope = torch.tensor(2.0, requires_grad=True)
    x = torch.randn(8, 1)
    dual, excess = dual_and_excess(Function(lambda z: slope * z[:, 0]), x, x - 1)
    # (s - 1)² has the derivative 2 (s - 1), and the dual value that of the shift.
    assert torch.autograd.grad(excess, slope, retain_graph=True)[0].item() == pytest.approx(2)
    assert torch.autograd.grad(dual, slope)[0].item() == pytest.approx(1)
