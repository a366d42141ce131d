"""Properties of all nets: gradient steps, state, counters, and the end of training."""

import copy
import signal

import pytest
import torch
from skorch.callbacks import Callback, GradientNormClipping
from skorch.helper import predefined_split
from torch import nn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets import AdversarialNet, AssignedNoise, JointNet, LabelledRows, SemiDiscreteNet, TensorPairs
from sklearn_ot.nn import MLPCritic, MLPGenerator
from sklearn_ot.objectives import wgan
from sklearn_ot.objectives.game import Game, value
from sklearn_ot.objectives.semidiscrete import assigned_regression

ROWS = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))


class Line(nn.Linear):
    def project_(self):
        """Do nothing: no weight is constrained."""


def distance(module, x, y, *weights):
    return (module(x) - y).square().mean()


def scaled(function, factor):
    return lambda *args: factor * function(*args)


def joint(base=JointNet, factor=1.0, **parameters):
    data = TensorPairs(ROWS, 2 * ROWS.flip(0) + 1)
    net = base(
        Line,
        scaled(distance, factor),
        evaluation=distance,
        tol=0.0,
        n_iter_no_change=10,
        module__in_features=2,
        module__out_features=2,
        train_split=predefined_split(data),
        **{"max_iter": 250, **parameters},
    )
    return net, data


def adversarial(base=AdversarialNet, factor=1.0, **parameters):
    net = base(
        MLPGenerator,
        Game(scaled(wgan.critic_loss, factor), scaled(wgan.generator_loss, factor), value),
        critic=MLPCritic,
        evaluation=lambda net: 0.0,
        n_critic=2,
        parametrise=None,
        project=None,
        instance_noise=0.0,
        early_stopping=False,
        tol=0.0,
        n_iter_no_change=1,
        module__latent_dim=2,
        module__n_features=2,
        module__hidden_layer_sizes=(4,),
        critic__n_features=2,
        critic__hidden_layer_sizes=(4,),
        **{"max_iter": 150, **parameters},
    )
    return net, LabelledRows(ROWS)


def semidiscrete(base=SemiDiscreteNet, factor=1.0, **parameters):
    net = base(
        MLPGenerator,
        scaled(assigned_regression, factor),
        cost="sqeuclidean",
        tol=0.2,
        max_samples=2000,
        n_fit_samples=500,
        n_fit_steps=20,
        rebalance=0.0,
        seed=0,
        module__latent_dim=2,
        module__n_features=2,
        module__hidden_layer_sizes=(4,),
        **{"max_iter": 3, **parameters},
    )
    return net, AssignedNoise(ROWS, torch.full((64,), 1 / 64, dtype=torch.float64))


NETS = {JointNet: joint, AdversarialNet: adversarial, SemiDiscreteNet: semidiscrete}


@pytest.fixture(params=NETS, ids=lambda base: base.__name__)
def build(request):
    """A function of further parameters and mixins, which returns a net and its data."""

    def build(*mixins, **parameters):
        base = type("Net", (*mixins, request.param), {}) if mixins else request.param
        torch.manual_seed(0)
        settings = {"remedy": "Change something.", "lr": 1e-2, "batch_size": 16, "verbose": 0, **parameters}
        net, data = NETS[request.param](base, **{"optimizer": torch.optim.Adam, **settings})
        return net.initialize(), data

    with torch.random.fork_rng():
        yield build


def weights_of(net):
    parts = [part for name, part in net.parts().items() if "optimizer" not in name]
    return torch.cat([weight.flatten().float() for part in parts for weight in part.values()])


class InLargeUnits:
    """Scale losses and gradients, as in mixed precision; a power of 2 does not change the rounding."""

    n_steps = 0

    def backward(self, loss):
        super().backward(2.0**10 * loss)

    def apply_gradients(self, optimizer, module):
        for weight in module.parameters():
            weight.grad /= 2.0**10
        self.n_steps += 1
        super().apply_gradients(optimizer, module)


def test_every_gradient_step_goes_through_the_hooks(build):
    """In plain descent, every step that does not remove the scale would change."""
    nets = [build(*mixins, optimizer=torch.optim.SGD) for mixins in ((), (InLargeUnits,))]
    start = weights_of(nets[0][0])
    for net, data in nets:
        torch.manual_seed(1)
        net.partial_fit(data)
    assert not torch.equal(weights_of(nets[0][0]), start)
    assert torch.equal(weights_of(nets[0][0]), weights_of(nets[1][0]))
    assert nets[0][0].history[:, "train_loss"] == nets[1][0].history[:, "train_loss"]
    n_gradients = {JointNet: 250, AdversarialNet: 3 * 150, SemiDiscreteNet: 3 * 20}
    assert nets[1][0].n_steps == next(n for base, n in n_gradients.items() if isinstance(net, base))


def test_callbacks_see_the_gradients_of_each_step(build):
    """Gradients are clipped for one network at a time, so steps of plain descent are at most as long as the bound."""

    class Longest(Callback):
        def on_train_begin(self, net, **kwargs):
            self.weights_, net.longest = weights_of(net), 0.0

        def on_batch_end(self, net, training=False, **kwargs):
            weights = weights_of(net)
            net.longest = max(net.longest, (weights - self.weights_).abs().max().item())
            self.weights_ = weights

    net, data = build(
        optimizer=torch.optim.SGD, lr=1.0, factor=100.0, callbacks=[GradientNormClipping(1e-3), Longest()]
    )
    net.partial_fit(data)
    # The critic takes two steps in a round of a game.
    assert 0 < net.longest < 2.1e-3


def test_a_resumed_net_has_the_state_and_settings_of_its_own(build):
    first, data = build()
    first.partial_fit(data)
    second, _ = build(lr=2e-2)
    state = copy.deepcopy(first.state())
    second.resume(first)
    assert second.optimizer_.param_groups[0]["lr"] == 2e-2
    assert second.n_iter_ == first.n_iter_ > 0
    assert second.history == first.history
    assert torch.equal(weights_of(second), weights_of(first))
    torch.testing.assert_close(second.state()["facts"], state["facts"], rtol=0, atol=0)
    moments = [net.optimizer_.state_dict()["state"] for net in (first, second)]
    torch.testing.assert_close(*moments, rtol=0, atol=0)
    # The nets share no tensors: the second continues its training, and the first does not change.
    second.partial_fit(data)
    assert second.n_iter_ == 2 * first.n_iter_
    torch.testing.assert_close(first.state()["parts"], state["parts"], rtol=0, atol=0)


@pytest.mark.parametrize("factor", [1e25, float("nan")])
def test_numbers_that_are_not_finite_are_an_error(build, factor):
    """Losses of 10²⁵ are finite, but the squares of their gradients are not, and then no weight changes any more."""
    net, data = build(factor=factor)
    with pytest.raises(DivergenceError, match=r"Training diverged after \d+ (steps|rounds): .*\. Change something\."):
        net.partial_fit(data)


@pytest.mark.parametrize("name", ["optimizer_", "critic_optimizer_"])
def test_a_moment_that_is_not_finite_is_an_error(build, name):
    """Weights with this moment do not change any more, and all losses stay finite."""
    net, data = build(max_iter=2)
    if not hasattr(net, name):
        name = "optimizer_"
    net.partial_fit(data)
    moments = next(iter(getattr(net, name).state.values()))
    moments["exp_avg_sq"].view(-1)[0] = float("inf")
    with pytest.raises(DivergenceError, match=r"s: the square of a gradient is inf\. Change something\."):
        net.partial_fit(data)


def test_step_sizes_are_as_before_after_a_fit(build):
    net, data = build()
    net.partial_fit(data)
    for name in net.parts():
        if "optimizer" in name:
            assert getattr(net, name).param_groups[0]["lr"] == 1e-2


class End(Callback):
    """A callback that ends training in the second block, or during which the keyboard does."""

    def __init__(self, planned=False):
        self.planned = planned

    def on_train_begin(self, net, **kwargs):
        self.n_blocks_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_blocks_ += 1

    def on_batch_end(self, net, training=False, **kwargs):
        if training and self.n_blocks_ == 1:
            if self.planned:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("undo", [True, False])
def test_going_back(build, undo):
    """The networks and optimisers are those that were kept; counts and history go back only if steps are undone."""
    net, data = build()
    net.partial_fit(data)
    kept = copy.deepcopy(net.state())
    net.keep()
    n_rows, n_fitted = len(net.history), net.n_fitted_
    for _ in range(2):
        net.train_step(next(net.get_iterator(data, training=True).__iter__()))
        net.count()
        net.history.new_epoch()
    assert net.state()["facts"]["n_iter_"] == kept["facts"]["n_iter_"] + 2
    net.go_back(undo=undo)
    torch.testing.assert_close(net.state()["parts"], kept["parts"], rtol=0, atol=0)
    n_more = 0 if undo else 2
    assert (len(net.history), net.n_fitted_) == (n_rows + n_more, n_fitted + n_more)
    assert net.n_iter_ == kept["facts"]["n_iter_"] + n_more


def test_how_a_fit_ended(build):
    net, data = build()
    assert (net.n_fitted_, net.interrupted_) == (0, False)
    net.partial_fit(data)
    assert (net.finished_, net.interrupted_, net.n_fitted_) == (True, False, net.max_iter)
    for planned in (True, False):
        net, data = build(callbacks=[End(planned)])
        net.partial_fit(data)
        assert (net.finished_, net.interrupted_) == (False, not planned)
        assert 0 < net.n_fitted_ == net.n_iter_ < net.max_iter
