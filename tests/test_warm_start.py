"""Estimators that own a net: the content of a pickle, training after it, and a budget of time for a fit."""

import itertools
import pickle
import time
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.base import BaseTransport
from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.representation import Autoencoder
from sklearn_ot.transport import LSOTTransport, QCTransport, W2Transport

RNG = np.random.RandomState(0)
X, Y = RNG.randn(300, 2), RNG.rand(250, 2)
MAPS = {"batch_size": 32, "random_state": 0}
GAME = {"generator": Dense((16,)), "critic": Dense((16,)), "batch_size": 32, "random_state": 0}

ESTIMATORS = [
    W2Transport(**MAPS, network=Convex((16,)), max_iter=150),
    W2Transport("w2gn", **MAPS, network=Convex((16,)), plan_size=0, early_stopping=False, max_iter=150),
    LSOTTransport(**MAPS, network=Dense((16,), "silu"), max_iter=150),
    QCTransport(**MAPS, network=Dense((16,), "silu"), max_iter=120),
    WGANGenerator(**GAME, max_iter=120),
    WGANGenerator(**GAME, max_iter=120, early_stopping=True),
    Autoencoder(1, **MAPS, network=Dense((16,)), max_iter=150),
    SemiDiscreteOTGenerator(
        Dense((16,)), batch_size=32, random_state=0, max_iter=2, n_fit_samples=1000, n_fit_steps=50
    ),
]
over_estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)


def fit(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, X_target=Y) if isinstance(estimator, BaseTransport) else estimator.fit(Y)


def rows(estimator):
    return estimator.transform(X) if hasattr(estimator, "transform") else estimator.sample(50, random_state=0)


def history(estimator):
    """The rows of the history without times."""
    return [{key: value for key, value in row.items() if key != "dur"} for row in estimator.history_]


@pytest.mark.parametrize(
    "estimator", [e for e in ESTIMATORS if hasattr(e, "warm_start")], ids=lambda e: type(e).__name__
)
def test_a_pickled_fit_goes_on_as_the_unpickled_one(estimator):
    """A pickle stores weights, the state of Adam, counters, averages and the random stream, so results are equal."""
    fitted = fit(clone(estimator).set_params(warm_start=True))
    loaded = pickle.loads(pickle.dumps(fitted))
    for _ in range(2):
        np.testing.assert_array_equal(rows(loaded), rows(fitted))
        fit(fitted), fit(loaded)
        assert history(loaded) == history(fitted)
        assert loaded.n_iter_ == fitted.n_iter_
    for one, other in zip(fitted.net_.module_.parameters(), loaded.net_.module_.parameters(), strict=True):
        assert bool((one == other).all())


@over_estimators
def test_a_pickle_holds_no_tensor(estimator):
    assert b"torch" not in pickle.dumps(fit(clone(estimator)))


@over_estimators
def test_a_time_budget_ends_a_fit(estimator):
    """The fit ends without a warning and with a usable result, and all stages share the budget."""
    # In CPU time, so that other processes have no effect.
    budget = TimeBudget(0.5, clock=time.process_time)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(clone(estimator).set_params(max_iter=1))  # The first fit of a process imports for longer than the budget.
    estimator = clone(estimator).set_params(max_iter=10**6, callbacks=[budget])
    if hasattr(estimator, "n_iter_no_change"):
        estimator.set_params(n_iter_no_change=10**6)
    for _ in range(2):  # Another fit has the whole budget again.
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit(estimator)
        # Not in the budget are imports, one step or solution, the preparations, and the distance at the end.
        assert 0.5 < time.process_time() - start < 10
        assert np.isfinite(rows(estimator)).all()
        assert estimator.n_iter_ > 0


def ticking_clock():
    """A clock that advances each time it is read: once in a step and once in a block."""
    ticks = itertools.count()
    return lambda: next(ticks)


def test_stages_share_one_budget():
    budget = TimeBudget(700, clock=ticking_clock())
    transport = fit(W2Transport(**MAPS, network=Convex((16,)), plan_size=100, max_iter=10**6, callbacks=[budget]))
    steps = [row["n_iter"] for row in transport.history_ if row["stage"] == "plan"]
    assert 100 <= steps[-1] <= 500
    assert 690 <= transport.n_iter_ <= 700


def test_each_stage_may_take_an_equal_part_of_the_time_that_is_left():
    budget = TimeBudget(200, n_stages=2, clock=ticking_clock())
    transport = fit(LSOTTransport(**MAPS, max_iter=10**6, n_iter_no_change=10**6, callbacks=[budget]))
    n_steps = {row["stage"]: row["n_iter"] for row in transport.history_}
    assert 95 <= n_steps["dual"] <= 100
    assert 190 <= n_steps["map"] <= 200


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf")])
def test_a_budget_that_is_none(seconds):
    with pytest.raises(ValueError, match="seconds must be a finite number above 0"):
        fit(W2Transport(**MAPS, callbacks=[TimeBudget(seconds)]))


@pytest.mark.parametrize("seconds", ["a", None])
def test_a_budget_that_is_no_number(seconds):
    with pytest.raises(TypeError, match=f"seconds must be a number, got {seconds!r}"):
        fit(W2Transport(**MAPS, callbacks=[TimeBudget(seconds)]))
