"""The net of a penalised critic."""

import time

import pytest
import torch
from skorch.callbacks import Callback

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets import CriticNet, TensorRows, TimeBudget, torch_seed
from sklearn_ot.nn import MLP, LiftedPotential
from sklearn_ot.objectives.w1 import dual_and_excess

N = 500


def pairs(shift=1.0):
    x = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    return TensorRows(torch.cat([x, x - torch.tensor([shift, 0.0])], 1))


def trained(dataset, max_iter=100, criterion=dual_and_excess, seed=0, lr=1.5e-2, **options):
    with torch_seed(seed, torch.device("cpu")):
        net = CriticNet(
            LiftedPotential,
            criterion,
            max_iter=max_iter,
            batch_size=64,
            lr=lr,
            optimizer=torch.optim.Adam,
            remedy="Lower it.",
            verbose=0,
            module__n_features=2,
            module__network=(MLP, {"n_features": 3, "hidden_layer_sizes": (16,)}),
            **options,
        ).initialize()
        return net.partial_fit(dataset)


def dual_value(net, dataset):
    with torch.no_grad():
        x, y = dataset.x.chunk(2, dim=1)
        return (net.module_(x).mean() - net.module_(y).mean()).item()


@pytest.mark.parametrize("shift", [1.0, 0.01])
def test_dual_value_of_a_shift(shift):
    """The value is the length of the shift, also of one that is short beside the spread of the rows."""
    net = trained(pairs(shift), 300)
    assert dual_value(net, pairs(shift)) / shift == pytest.approx(1, abs=0.05)
    slopes = net.module_.gradient(pairs(shift).x[:, :2]).norm(dim=1)
    assert slopes.mean().item() == pytest.approx(1, abs=0.03)


def test_weights_of_the_penalty_and_step_sizes():
    """With a slope that is the only parameter, the loss is λ W (s - 1)² - s W; the weight grows from 5 to 50."""
    losses = []

    def criterion(module, x, y):
        dual = module.linear[0] + 1
        losses.append((dual.detach(), (dual - 1).clamp(min=0).square()))
        return losses[-1][0] + (dual - dual.detach()), losses[-1][1]

    net = trained(pairs(), 300, criterion, lr=1e-2)
    # The slope at the minimum is 1 + 1 / (2 λ), with λ = 50 in the end.
    assert net.module_.linear[0].item() == pytest.approx(1 / 100, abs=3e-3)
    assert [row["n_iter"] for row in net.history] == [100, 200, 300]
    assert net.history[-1, "dual_value"] > 1
    assert net.step_factor() < 0.01


def test_the_result_is_an_average():
    steps = []

    class Steps(Callback):
        def on_batch_end(self, net, **kwargs):
            steps.append([weight.detach().clone() for weight in net.module_.parameters()])

    weights = [weight.detach() for weight in trained(pairs(), 60, callbacks=[Steps()]).module_.parameters()]
    # Step k has the share 25 / (k + 25) in the average; the first one starts at the untrained weights.
    average = steps[0]
    for k, step in enumerate(steps[1:], start=2):
        average = [a + (b - a) * 25 / (k + 25) for a, b in zip(average, step, strict=True)]
    for found, expected in zip(weights, average, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert max((a - b).abs().max() for a, b in zip(weights, steps[-1], strict=True)) > 1e-4
    again = trained(pairs(), 60).module_.parameters()
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))


def test_step_size_falls_to_0_at_the_end_of_a_budget():
    factors = []

    class Factors(TimeBudget):
        def on_batch_end(self, net, **kwargs):
            factors.append(net.step_factor())
            super().on_batch_end(net, **kwargs)

    net = trained(pairs(), 10**6, callbacks=[Factors(1.0, clock=time.process_time)])
    assert net.n_fitted_ < 10**5
    assert max(factors) > 0.9
    assert factors[-1] < 0.05
    assert not net.interrupted_


def test_divergence_is_an_error():
    with pytest.raises(DivergenceError, match=r"train_loss is nan.* Lower it"):
        trained(pairs(), 100, lambda module, x, y: (module.linear.sum() * float("nan"), module.linear.sum()))


def test_no_steps():
    net = trained(pairs(), 0)
    assert dual_value(net, pairs()) == 0
