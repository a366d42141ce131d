"""The dual value of a potential on held-out rows."""

import pytest
import torch

from sklearn_ot.nn import DenseICNN, PotentialPair
from sklearn_ot.objectives.dual import gain_exceeds_error, gains, negative_dual


def test_gains_of_quadratics():
    """The potential a ‖x‖²/2 has the conjugate ‖y‖²/(2 a), and the gain is 0 for a = 1."""
    torch.manual_seed(0)
    x, y = torch.randn(5, 3), torch.randn(4, 3)
    pair = PotentialPair(DenseICNN(3, (8,)), DenseICNN(3, (8,)))
    assert negative_dual(pair, x, y).item() == pytest.approx(0, abs=1e-6)
    a = 1.5
    with torch.no_grad():
        pair.potential.quadratic.mul_(((a - 0.01) / 0.99) ** 0.5)
        source, target = gains(pair, x, y)
    torch.testing.assert_close(source, (1 - a) * x.square().sum(1) / 6)
    # The largest difference between the bound of the conjugate and the conjugate, for a converged search.
    torch.testing.assert_close(target, (1 - 1 / a) * y.square().sum(1) / 6, atol=5e-5, rtol=0)


@pytest.mark.parametrize(("gain", "expected"), [(0.9, False), (1.1, True)])
def test_the_error_of_a_gain_is_that_of_two_means(monkeypatch, gain, expected):
    def parts(pair, x, y):
        # Two and eight rows, with variances 0.72 and 5.12 of a single row, so that means have 0.36 and 0.64.
        return gain / 2 + torch.tensor([-0.6, 0.6]), gain / 2 + torch.tensor([-2.1166, 2.1166] * 4)

    monkeypatch.setattr("sklearn_ot.objectives.dual.gains", parts)
    assert gain_exceeds_error(None, None, None) == expected
    monkeypatch.setattr("sklearn_ot.objectives.dual.gains", lambda *_: (torch.ones(1), torch.ones(1)))
    assert not gain_exceeds_error(None, None, None)
