"""Weights that training holds at zero: in the net, in ``sparsity_`` and in ``prune``."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.helper import predefined_split
from torch import nn

from sklearn_ot.nets import JointNet, TensorPairs
from sklearn_ot.networks import Convex
from sklearn_ot.nn import DenseICNN
from sklearn_ot.transport import W2Transport

ARCHITECTURES = [
    pytest.param({"hidden_layer_sizes": sizes, "activation": activation, "rank": rank, "pool_size": 4}, id=activation)
    for activation, rank, sizes in (
        ("celu", 2, (12, 8, 16)),
        ("softplus", 1, (16,)),
        ("logsumexp", 1, (16, 12)),
        ("mixed", 1, (16, 12)),
    )
]
SIZES = {"hidden_layer_sizes": (16, 16), "pool_size": 4}
SOLVERS = {
    "dual": {"solver": "dual", "network": Convex(**SIZES)},
    "w2gn": {"solver": "w2gn", "network": Convex(**SIZES, activation="celu", rank=1)},
}


class Held(nn.Module):
    """Two numbers, of which the second must not be negative."""

    def __init__(self):
        super().__init__()
        self.free = nn.Parameter(torch.tensor(0.0))
        self.held = nn.Parameter(torch.tensor(0.5))

    def project_(self):
        with torch.no_grad():
            self.held.clamp_(min=0)


def train_held(evaluation, tol, max_iter=200):
    """Training drives one number to 3 and holds the other, which would be -2, at 0 after a few steps."""
    data = TensorPairs(torch.full((64, 1), 3.0), torch.full((64, 1), -2.0))
    net = JointNet(
        Held,
        lambda module, x, y: (module.free - x).square().mean() + (module.held - y).square().mean(),
        evaluation=evaluation,
        max_iter=max_iter,
        tol=tol,
        n_iter_no_change=10,
        remedy="",
        optimizer=torch.optim.Adam,
        lr=0.1,
        batch_size=64,
        train_split=predefined_split(data),
        verbose=0,
    ).initialize()
    return net.partial_fit(data)


def distance(module, *samples):
    return (module.free - 3).abs()


def test_the_result_is_zero_where_training_held_it():
    net = train_held(distance, tol=0.0)
    assert net.module_.held.item() == 0
    # The other number is still an average, near 3.
    assert 0 < abs(net.module_.free.item() - 3) < 0.1
    assert net.best_loss_ == distance(net.module_).item()


@pytest.mark.parametrize(("harm", "is_zero"), [(0.5, True), (2.0, False)])
def test_zeros_that_cost_more_than_a_tenth_of_tol_are_not_set(harm, is_zero):
    """The evaluation adds ``harm`` for an exact zero, in tenths of tol; the best loss is that of the result."""

    def evaluation(module, *samples):
        return distance(module) + harm * 1e-3 * (module.held == 0)

    net = train_held(evaluation, tol=1e-2)
    assert (net.module_.held.item() == 0) == is_zero
    assert net.best_loss_ == evaluation(net.module_).item()


def test_zeros_never_end_worse_than_the_start():
    def evaluation(module, *samples):
        # The result is better than the start by half of the cost of the zero.
        return torch.where(module.held == 0, 5e-3, torch.where(module.free == 0, 0.0, -5e-3))

    net = train_held(evaluation, tol=1.0)
    assert net.best_loss_ == pytest.approx(-5e-3)
    assert net.module_.held.item() > 0


def with_weights(**architecture):
    """A network in which every term has an effect, without zeros."""
    torch.manual_seed(0)
    network = DenseICNN(5, **architecture).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        for weight in network.inner:
            weight.abs_().add_(0.01)
    return network


@pytest.fixture
def x():
    return 3 * torch.randn(64, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruned_is_narrower_and_the_same_function(architecture, x):
    network = with_weights(**architecture)
    sizes, pool_size = list(network.hidden_layer_sizes), network.pool_size
    with torch.no_grad():
        top = network.inner[-1]
        top[:, [0, 2]] = 0
        network.inner[0][:2, 0] = 0  # the pool still has an effect on others
        sizes[-1] -= 2 * pool_size
        if len(sizes) > 1:
            # Leads only to pools 0 and 2 of the top layer, which have no effect.
            pool = torch.arange(len(network.inner[-2])) % top.shape[1]
            network.inner[-2][(pool == 1) | (pool > 2), 1] = 0
            sizes[-2] -= pool_size
    if architecture["activation"] == "mixed":
        sizes = [(4, 8), (4, 3)]  # the pool with four units, and the other with one
    expected = network.value_and_gradient(x)
    state = torch.get_rng_state()
    pruned = network.pruned()
    assert torch.equal(torch.get_rng_state(), state)
    assert pruned.hidden_layer_sizes == tuple(sizes)
    # The sums have fewer terms, and differ by rounding in float64.
    for one, other in zip(pruned.value_and_gradient(x), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    # A network with the narrower widths loads the weights, and pruning it again changes nothing.
    rebuilt = DenseICNN(5, **{**architecture, "hidden_layer_sizes": sizes}).double()
    rebuilt.load_state_dict(pruned.state_dict())
    torch.testing.assert_close(rebuilt(x), expected[0])
    assert pruned.pruned().hidden_layer_sizes == tuple(sizes)
    assert all(weight.requires_grad for weight in pruned.parameters())
    assert network.hidden_layer_sizes == tuple(architecture["hidden_layer_sizes"])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruned_keeps_a_pool_of_every_layer(architecture, x):
    """The top layer of a new network has no effect, so only the quadratic term remains."""
    network = DenseICNN(5, **architecture).double()
    pruned = network.pruned()
    size = (4, 0) if architecture["activation"] == "mixed" else network.pool_size
    assert pruned.hidden_layer_sizes == (size,) * len(network.hidden_layer_sizes)
    assert pruned.pruned().hidden_layer_sizes == pruned.hidden_layer_sizes
    for one, other in zip(pruned.value_and_gradient(x), network.value_and_gradient(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pruned_without_zeros_is_the_network(architecture):
    network = with_weights(**architecture)
    pruned = network.pruned().state_dict()
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, pruned[name])


@pytest.fixture(scope="module")
def samples():
    rng = np.random.RandomState(0)
    return rng.randn(300, 3), 0.2 * rng.randn(300, 3) + rng.choice([-1, 1], (300, 3)) @ rng.randn(3, 3)


@pytest.fixture(scope="module", params=SOLVERS)
def fitted(request, samples):
    transport = W2Transport(
        **SOLVERS[request.param],
        plan_size=0,
        max_iter=100,
        batch_size=64,
        warm_start=True,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return transport.fit(*samples)


@pytest.fixture
def transport(fitted):
    return copy.deepcopy(fitted)


def convex_networks(transport):
    pair = transport.net_.module_
    return [network for network in (pair.potential, pair.inverse) if isinstance(network, DenseICNN)]


def narrow_sizes(network):
    """The widths after `kill_pools`, which are halved; the first half of the 10 pools of "mixed" has all LSE units."""
    return ((8, 8), (0, 5)) if network.activation == "mixed" else (16, 8)


def kill_pools(transport):
    """A transport whose networks have zeros for the first half of the pools of the top layer, and no others."""
    with torch.no_grad():
        for network in convex_networks(transport):
            for weight in network.inner:
                weight.add_(0.01)
            network.inner[-1][:, : network.inner[-1].shape[1] // 2] = 0
    # The fitted map is a copy of the networks before the change; a copy of the transport has the changed networks.
    return copy.deepcopy(transport)


def test_sparsity_counts_exact_zeros(transport):
    networks = convex_networks(transport)
    assert len(networks) == (1 if transport.solver == "dual" else 2)
    with torch.no_grad():
        for network in networks:
            for weight in network.inner:
                weight.fill_(1e-30)  # small is not zero
    assert transport.sparsity_ == 0
    with torch.no_grad():
        networks[-1].inner[0][:3, 1] = 0
        networks[-1].inner[1][0, 2] = 0
    n_weights = sum(weight.numel() for network in networks for weight in network.inner)
    assert transport.sparsity_ == pytest.approx(4 / n_weights)
    with pytest.raises(NotFittedError):
        W2Transport().sparsity_  # noqa: B018 (a property)


def test_training_makes_zeros(fitted):
    """The average of the weights has no zeros by itself."""
    assert fitted.sparsity_ > 0.01
    for network in convex_networks(fitted):
        assert all(bool((weight >= 0).all()) for weight in network.inner)


def test_prune_keeps_the_maps_and_narrows_the_networks(samples, transport):
    transport = kill_pools(transport)
    Xs, Xt = samples
    before = [transport.transform(Xs), transport.inverse_transform(Xt), transport.potential(Xs)]
    n_iter, distance, history = transport.n_iter_, transport.wasserstein_distance_, transport.history_
    assert transport.prune() is transport
    for network in convex_networks(transport):
        assert network.hidden_layer_sizes == narrow_sizes(network)
    after = [transport.transform(Xs), transport.inverse_transform(Xt), transport.potential(Xs)]
    # Everything is in float64. The searches of the dual solver end at conjugate_tol = 1e-4.
    tolerances = [1e-6, 1e-3 if transport.solver == "dual" else 1e-6, 1e-6]
    for one, other, tolerance in zip(after, before, tolerances, strict=True):
        assert np.abs(one - other).max() < tolerance * Xt.std()
    assert (transport.n_iter_, transport.wasserstein_distance_, transport.history_) == (n_iter, distance, history)
    assert transport.get_params()["network__hidden_layer_sizes"] == (16, 16)


def test_a_pruned_transport_is_pickled_as_it_is(samples, transport):
    transport = kill_pools(transport)
    size = len(pickle.dumps(transport))
    transport.prune()
    assert len(pickle.dumps(transport)) < size
    for other in (pickle.loads(pickle.dumps(transport)), copy.deepcopy(transport)):
        np.testing.assert_array_equal(other.transform(samples[0]), transport.transform(samples[0]))
        np.testing.assert_array_equal(other.inverse_transform(samples[1]), transport.inverse_transform(samples[1]))
        assert all(n.hidden_layer_sizes == narrow_sizes(n) for n in convex_networks(other))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("copied", [lambda e: e, copy.deepcopy], ids=["itself", "a copy"])
def test_warm_start_goes_on_from_the_narrow_networks(samples, transport, copied):
    transport = kill_pools(transport)
    transport = copied(transport.prune()).set_params(max_iter=20, learning_rate=1e-4)
    weights = {name: weight.clone() for name, weight in transport.net_.module_.state_dict().items()}
    transport.fit(*samples)
    assert transport.n_iter_ == 120
    for name, weight in transport.net_.module_.state_dict().items():
        assert weight.shape == weights[name].shape
        # 20 steps of Adam of at most 1e-4, from the old weights.
        assert (weight - weights[name]).abs().max() < 20e-4
    transport.prune()  # again
    cold = transport.set_params(warm_start=False).fit(*samples)
    assert convex_networks(cold)[0].hidden_layer_sizes == (16, 16)
