"""The net of OTS and FIT: the assignment of noise, its batches, and the steps and potentials of the rounds."""

import math

import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.nets import AssignedNoise, SemiDiscreteNet, torch_seed
from sklearn_ot.nn import MLPGenerator
from sklearn_ot.objectives.semidiscrete import assigned_regression
from sklearn_ot.solvers.costs import Cost


class StepSizes(Callback):
    def on_train_begin(self, net, **kwargs):
        net.step_sizes = []

    def on_batch_end(self, net, **kwargs):
        net.step_sizes.append(net.optimizer_.param_groups[0]["lr"])


class WithDropout(MLPGenerator):
    def __init__(self, latent_dim, n_features, hidden_layer_sizes):
        super().__init__(latent_dim, n_features, hidden_layer_sizes)
        self.output = nn.Dropout()


def fit(points, weights=None, module=MLPGenerator, **parameters):
    n_points = len(points)
    dataset = AssignedNoise(points, torch.full((n_points,), 1 / n_points) if weights is None else weights)
    settings = {
        "cost": "sqeuclidean",
        "tol": 0.05,
        "max_samples": 50_000,
        "n_fit_samples": 4000,
        "n_fit_steps": 20,
        "rebalance": 0.0,
        "max_iter": 1,
        **parameters,
    }
    device = torch.device("cpu")
    with torch_seed(0, device):
        net = SemiDiscreteNet(
            module,
            assigned_regression,
            module__latent_dim=points.shape[1],
            module__n_features=points.shape[1],
            module__hidden_layer_sizes=(16,),
            optimizer=torch.optim.Adam,
            lr=1e-2,
            batch_size=128,
            seed=0,
            remedy="Change something.",
            verbose=0,
            **settings,
        ).initialize()
        net.partial_fit(dataset)
    return net, dataset


@pytest.fixture
def points():
    return torch.tensor([[-2.0, 0.0], [0.5, 1.0], [2.0, -1.0]])


def test_noise_is_assigned_by_the_weights(points):
    weights = torch.tensor([0.2, 0.5, 0.3])
    net, dataset = fit(points, weights, max_iter=0)
    shares = torch.bincount(dataset.index) / 4000
    # The tolerance is that of the masses, plus 4 standard errors of 4000 rows.
    torch.testing.assert_close(shares, weights, atol=0.05, rtol=0)
    # Each row is sent to the point with the best score.
    rows = net.generate(dataset.noise)
    scores = torch.cdist(rows, points).square() - net.potential_
    assert torch.equal(scores.argmin(1), dataset.index)
    assert torch.equal(dataset.noise_weights, torch.ones(4000))


def test_rebalanced_noise_has_the_weights_of_the_points(points):
    weights = torch.tensor([0.2, 0.5, 0.3])
    _, dataset = fit(points, weights, max_iter=0, rebalance=1.0)
    masses = torch.bincount(dataset.index, dataset.noise_weights) / 4000
    # The tolerance is the rounding of a thousand terms in float32.
    torch.testing.assert_close(masses, weights, rtol=1e-4, atol=0)


def test_steps_fall_to_zero_in_each_round(points):
    net, _ = fit(points, max_iter=2, callbacks=[StepSizes()])
    first, second = torch.tensor(net.step_sizes).view(2, 20)
    assert first[0] == pytest.approx(1e-2)
    assert second[0] == pytest.approx(1e-2 / math.sqrt(2))
    assert (first.diff() < 0).all()
    assert first[10] == pytest.approx(1e-2 / 2)  # half of a cosine in the middle
    assert first[-1] < 1e-4
    assert net.optimizer_.param_groups[0]["lr"] == 1e-2


def test_the_next_search_starts_at_the_potential_of_the_interpolation(points, monkeypatch):
    """A generator that moves the whole way has the potential 0; one that does not move keeps its potential."""
    starts = []
    module = "sklearn_ot.nets._semidiscrete"
    from sklearn_ot.nets import _semidiscrete

    solve = _semidiscrete.semidiscrete_dual

    def watched(*args, start, **kwargs):
        starts.append(start)
        return solve(*args, start=start, **kwargs)

    monkeypatch.setattr(f"{module}.semidiscrete_dual", watched)
    net, _ = fit(points, torch.tensor([0.2, 0.5, 0.3]), max_iter=0)
    first = net.potential_
    starts.clear()
    trained, _ = fit(points, torch.tensor([0.2, 0.5, 0.3]), max_iter=1)
    row = trained.history[-1]
    assert starts[0] is None
    assert 0 < row["train_loss"] < trained.history[0]["distance"] ** 2
    left = math.sqrt(row["train_loss"]) / trained.history[0]["distance"]
    torch.testing.assert_close(starts[1], left * first)


def test_layers_for_training_are_only_active_in_the_regression(points):
    net, dataset = fit(points, module=WithDropout)
    rows = net.generate(dataset.noise)
    assert (rows == 0).sum() == 0
    scores = torch.cdist(rows, points).square() - net.potential_
    assert torch.equal(scores.argmin(1), dataset.index)
    net.train_step((dataset.noise, points[dataset.index], dataset.noise_weights))
    assert (net.module_(dataset.noise) == 0).float().mean() == pytest.approx(0.5, abs=0.05)  # 8000 coins


def test_an_equal_cost_needs_no_new_potential_and_another_cost_does(points):
    def digest(cost):
        return fit(points, cost=cost, max_iter=0, n_fit_samples=100)[0].digest_

    # After a pickle, a function is another object.
    first, again = (Cost(lambda z: z.abs().amax(-1) ** 2, power=2) for _ in range(2))
    assert digest(first) == digest(again)
    assert digest("sqeuclidean") == digest(2)
    # The last two costs have the same first six digits of the power.
    others = [first, Cost(lambda z: z.square().sum(-1), power=2), "cityblock", 1.5, 1.5 + 1e-7]
    assert len({digest(cost) for cost in others}) == len(others)
