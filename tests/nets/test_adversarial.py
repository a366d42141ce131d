"""The net of a critic and a generator: the order of steps, the average, noise, and the end of training."""

import copy
import math
from functools import partial

import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets import AdversarialNet, LabelledRows, torch_seed
from sklearn_ot.nets._device import random_stream
from sklearn_ot.nn import MLPCritic, MLPGenerator, normalise_spectra_
from sklearn_ot.objectives import wgan
from sklearn_ot.objectives.constraints import clip_weights_
from sklearn_ot.objectives.game import Game, value

WGAN = Game(wgan.critic_loss, wgan.generator_loss, value)


def build(module=MLPGenerator, game=WGAN, **parameters):
    settings = {
        "critic": MLPCritic,
        "n_critic": 3,
        "max_iter": 5,
        "parametrise": None,
        "project": None,
        "instance_noise": 0.0,
        "early_stopping": False,
        "tol": 0.0,
        "n_iter_no_change": 1,
        "evaluation": lambda net: 0.0,
        "optimizer": torch.optim.Adam,
        "lr": 1e-2,
        "batch_size": 16,
        **parameters,
    }
    device = torch.device("cpu")
    with torch_seed(0, device):
        return AdversarialNet(
            module,
            game,
            module__latent_dim=2,
            module__n_features=2,
            module__hidden_layer_sizes=(8,),
            critic__n_features=2,
            critic__hidden_layer_sizes=(8,),
            remedy="Change something.",
            device=device,
            verbose=0,
            **settings,
        ).initialize()


def play(net, seed=0):
    torch.manual_seed(seed)
    with torch.random.fork_rng():
        net.partial_fit(LabelledRows(torch.randn(64, 2, generator=torch.Generator().manual_seed(0))))
    return net


def go_to_round(net, n_iter):
    """Load the state of a net after this number of rounds, with unchanged weights."""
    facts = {"n_iter_": n_iter, "random_": random_stream("cpu"), "start_score_": 0.0}
    net.load_state({"parts": net.parts(), "facts": facts})


class Record(Callback):
    """The values of a function of the net after each round."""

    def __init__(self, function):
        self.function = function

    def on_train_begin(self, net, **kwargs):
        net.record = []

    def on_batch_end(self, net, **kwargs):
        net.record.append(self.function(net))


def weights_of(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_both_move_as_often_as_they_should():
    net = play(build(callbacks=[Record(lambda net: (weights_of(net.module_), weights_of(net.critic_)))]))
    assert net.n_iter_ == len(net.record) == 5
    steps = [[state["step"].item() for state in o.state.values()] for o in (net.optimizer_, net.critic_optimizer_)]
    assert set(steps[0]) == {5}
    assert set(steps[1]) == {15}


def test_the_critic_is_shown_other_rows_in_each_step():
    shown = []

    def loss(critic, real, fake):
        shown.append((real, fake.detach()))
        return wgan.critic_loss(critic, real, fake)

    play(build(game=Game(loss, wgan.generator_loss, value), max_iter=2))
    assert len(shown) == 6
    for part in zip(*shown, strict=True):
        assert len({tuple(rows.flatten().tolist()) for rows in part}) == 6


def test_the_step_of_the_generator_leaves_the_critic_alone():
    net = build(n_critic=1, max_iter=1)
    seen = []

    def loss(critic, real, fake):
        seen.append(weights_of(critic.module))
        return wgan.generator_loss(critic, real, fake)

    net.criterion_ = WGAN._replace(generator_loss=loss)
    play(net)
    assert torch.equal(seen[0], weights_of(net.critic_))
    assert all(weight.requires_grad for weight in net.critic_.parameters())


def test_the_average_is_over_the_last_eighth():
    """The weight of round k in the average is proportional to k⁸ − (k − 1)⁸."""
    net = play(build(max_iter=20, callbacks=[Record(lambda net: weights_of(net.module_))]))
    shares = torch.tensor([(k / 20) ** 8 - ((k - 1) / 20) ** 8 for k in range(1, 21)])
    torch.testing.assert_close(weights_of(net.average_), shares @ torch.stack(net.record))


class Constant(MLPGenerator):
    def forward(self, z):
        return 1e-9 * super().forward(z)  # not 0, which has no gradient


@pytest.mark.parametrize(("n_rounds", "factor"), [(0, 1.0), (6000, 0.25)])
def test_noise_falls(n_rounds, factor):
    """Instance noise falls as 1 / (1 + rounds / 2000). Data and samples are both 0 here, and have different noise."""
    seen = []

    def loss(critic, real, fake):
        seen.append(real - fake)
        return wgan.critic_loss(critic, real, fake)

    net = build(Constant, WGAN._replace(critic_loss=loss), n_critic=1, max_iter=1, instance_noise=0.5, batch_size=4000)
    go_to_round(net, n_rounds)
    with torch.random.fork_rng():
        net.partial_fit(LabelledRows(torch.zeros(64, 2)))
    # 5 % are 6 standard errors of 8000 numbers.
    assert seen[0].std().item() == pytest.approx(math.sqrt(2) * 0.5 * factor, rel=0.05)


def test_steps_fall():
    callback = Record(lambda net: [o.param_groups[0]["lr"] for o in (net.optimizer_, net.critic_optimizer_)])
    net = build(callbacks=[callback], max_iter=1, critic_optimizer__lr=2e-2)
    go_to_round(net, 6000)
    play(net)
    assert net.record == [pytest.approx([0.5e-2, 1e-2])]
    # Another fit starts with the step sizes that were set.
    assert [o.param_groups[0]["lr"] for o in (net.optimizer_, net.critic_optimizer_)] == [1e-2, 2e-2]


def test_clipped_weights():
    net = play(build(project=partial(clip_weights_, reg=0.03)))
    assert weights_of(net.critic_).abs().max().item() == pytest.approx(0.03)
    assert weights_of(net.module_).abs().max() > 0.03


def test_normalised_weights():
    net = play(build(parametrise=normalise_spectra_, max_iter=40))
    # The steps of the power method follow the weights up to a few per cent.
    assert net.critic_.eval().lipschitz_bound() == pytest.approx(1, abs=0.1)


def test_going_on_is_going_on():
    whole = play(build(max_iter=10))
    first = play(build(max_iter=4))
    second = build(max_iter=6)
    second.resume(first)
    kept = copy.deepcopy(first.state())
    play(second, seed=77)  # the caller's stream has no effect
    for name in ("module_", "critic_", "average_"):
        assert torch.equal(weights_of(getattr(second, name)), weights_of(getattr(whole, name)))
    assert second.n_iter_ == 10
    # The other net does not change.
    assert all(torch.equal(kept["parts"]["critic_"][key], tensor) for key, tensor in first.critic_.state_dict().items())
    assert all(
        torch.equal(kept["parts"]["optimizer_"]["state"][0][key], tensor)
        for key, tensor in first.optimizer_.state_dict()["state"][0].items()
    )


def test_early_stopping_keeps_the_best():
    """The start is a candidate, and all networks are kept: the critic belongs to the generator."""
    scores = iter([0.5, 1.0, 3.0, 2.0, 2.5, 2.9, 9.0])
    kept = []

    def evaluation(net):
        kept.append([weights_of(module) for module in (net.average_, net.module_, net.critic_)])
        return next(scores)

    net = play(build(max_iter=600, n_critic=1, early_stopping=True, n_iter_no_change=3, evaluation=evaluation))
    assert net.n_iter_ == 500
    assert net.converged_
    assert not net.interrupted_
    assert [row["score"] for row in net.history] == [1.0, 3.0, 2.0, 2.5, 2.9]
    assert (net.start_score_, net.score_) == (0.5, 3.0)
    for module, weights in zip((net.average_, net.module_, net.critic_), kept[2], strict=True):
        assert torch.equal(weights_of(module), weights)
    # Another fit must be better than the networks at its start.
    start = weights_of(net.average_)
    play(net.set_params(evaluation=lambda net: -float(net.n_iter_ > 500)))
    assert torch.equal(weights_of(net.average_), start)


class Leaving(MLPGenerator):
    def forward(self, z):
        return super().forward(z) + 200


class Broken(nn.Module):
    def __init__(self, latent_dim, n_features, hidden_layer_sizes):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, z):
        return (z @ self.weight) / 0


class Dying(MLPCritic):
    """A critic that is flat after the first block of rounds."""

    n_calls = 0

    def forward(self, x):
        self.n_calls += 1
        return super().forward(x) * (self.n_calls < 1000)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"critic": Dying, "max_iter": 500}, r"after \d00 rounds: the generator has no gradient any more. Change"),
        ({"module": Leaving}, r"after 5 rounds: samples are 200 times as large as the data. Change something."),
        ({"module": Broken}, r"critic_loss is nan, generator_loss is"),
        ({"lr": 1e30}, "Training diverged after 5 rounds"),
    ],
)
def test_divergence_is_an_error(parameters, message):
    with pytest.raises(DivergenceError, match=message):
        play(build(**parameters))


def test_gradient_norms_are_recorded():
    def critic_loss(critic, real, fake):
        return 3 * weights_sum(critic.module)

    def weights_sum(module):
        return sum(weight.sum() for weight in module.parameters())

    net = build(game=Game(critic_loss, wgan.generator_loss, value), max_iter=1)
    play(net)
    n_weights = sum(weight.numel() for weight in net.critic_.parameters())
    assert net.history[-1, "critic_gradient"] == pytest.approx(3 * n_weights**0.5, rel=1e-5)
    assert net.history[-1, "n_iter"] == 1
