"""LSOTTransport; test_neural.py has the properties of all transports with networks."""

import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.networks import Dense
from sklearn_ot.transport import GaussianTransport, LSOTTransport

SHORT = {"network": Dense((32, 32), "silu"), "max_iter": 200, "batch_size": 128, "random_state": 0}


def short_fit(Xs, Xt, *args, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LSOTTransport(*args, **{**SHORT, **parameters}).fit(Xs, Xt)


@pytest.mark.parametrize(("regularization", "reg"), [("l2", 0.03), ("entropic", 0.1)])
def test_known_potential_map(regularization, reg):
    """On new points, the error against the true map is far smaller than that of the Gaussian map (24 %)."""
    pair = make_potential_pair(2, n_samples=4000, random_state=0)
    transport = short_fit(pair.source, pair.target, regularization, reg=reg)
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(2000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.3 * l2_uvp(gaussian.transform(X), Y)
    assert transport.score(X, X_target=Y) > 0.5 * gaussian.score(X, X_target=Y)


def test_entropic_plan_of_gaussians_shrinks_as_it_must():
    """Between equal N(0, 1), the entropic map is x times √(1 + ε²/4) − ε/2, by the formula for Gaussians."""
    rng = np.random.RandomState(0)
    transport = short_fit(rng.randn(4000, 1), rng.randn(4000, 1), "entropic", reg=1.0, max_iter=300)
    X = rng.randn(1000, 1)
    slope = np.sum(transport.transform(X) * X) / np.sum(X**2)
    # The factor is 0.618; the moments of the samples and only 300 steps leave an error of a few per cent.
    assert slope == pytest.approx(np.sqrt(1.25) - 0.5, abs=0.05)


def test_gaussian_pair():
    """The start is the solution, so the error is the bias of the regularisation, proportional to it: here 75 reg %."""
    pair = make_gaussian_pair(2, n_samples=4000, random_state=0)
    X = pair.sample_source(2000, random_state=1)
    large, small = (
        l2_uvp(short_fit(pair.source, pair.target, reg=reg).transform(X), pair.transport(X)) for reg in (0.03, 0.003)
    )
    assert large < 3
    assert small < large / 5


def test_history_names_the_stages():
    rng = np.random.RandomState(0)
    transport = short_fit(rng.randn(300, 2), rng.rand(200, 2), max_iter=150)
    assert [(row["stage"], row["n_iter"]) for row in transport.history_] == [
        ("dual", 100),
        ("dual", 150),
        ("map", 250),
        ("map", 300),
    ]
    assert transport.n_iter_ == 300


def test_the_second_stage_leaves_the_potentials_alone():
    class Potentials(Callback):
        def on_train_begin(self, net, X=None, y=None):
            self.before_ = net.module_.u(X.x).detach().clone()
            self.moved_ = False

        def on_train_end(self, net, X=None, y=None):
            net.moved = (net.module_.u(X.x) - self.before_).abs().max().item() > 0

    rng = np.random.RandomState(0)
    transport = short_fit(rng.randn(300, 2), rng.choice([-1, 1], (200, 2)), callbacks=[Potentials()], max_iter=100)
    assert not transport.net_.moved
    assert transport.net_.module_.u.layers[-1].weight.abs().max() > 0


def test_interrupted_while_the_potentials_train():
    """Without a plan there is no map to learn, so the map stays the Gaussian map."""

    class Interrupt(Callback):
        def on_batch_end(self, net, **kwargs):
            if net.n_iter_ == 50:
                signal.raise_signal(signal.SIGINT)

    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(300, 2), rng.rand(200, 2)
    with pytest.warns(UserWarning, match="interrupted after 50 steps"):
        transport = LSOTTransport(**SHORT, callbacks=[Interrupt()]).fit(Xs, Xt)
    assert {row["stage"] for row in transport.history_} == {"dual"}
    expected = GaussianTransport().fit(Xs, Xt).transform(Xs)
    np.testing.assert_allclose(transport.transform(Xs), expected, atol=1e-5)


@pytest.mark.parametrize("parameters", [{"reg": 0}, {"regularization": "l1"}])
def test_bad_parameters(parameters):
    with pytest.raises(ValueError, match=f"'{next(iter(parameters))}' parameter of LSOTTransport must be"):
        LSOTTransport(**parameters).fit(np.eye(3), np.eye(3))
