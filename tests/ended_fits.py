"""Fits in processes of their own, which the tests of checkpoints end at any moment."""

import math
import os
import warnings
from functools import partial

import numpy as np
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_ot import checkpoints
from sklearn_ot.base import BaseTransport
from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.representation import Autoencoder
from sklearn_ot.solvers.semidiscrete import _average
from sklearn_ot.transport import (
    LSOTTransport,
    QCTransport,
    SemiDiscreteTransport,
    W1Transport,
    W2Transport,
    WpTransport,
)

RNG = np.random.RandomState(0)
X, Y = RNG.randn(120, 2), np.sinh(RNG.randn(100, 2))
POINTS = RNG.randn(60, 5)
FIT_STEPS = 100
MAPS = {"network": Convex((8,)), "batch_size": 16, "max_iter": 220, "random_state": 0}
LINES = {**MAPS, "network": Dense((8,), "silu")}
GAME = {"generator": Dense((8,)), "critic": Dense((8,)), "batch_size": 16, "max_iter": 220, "random_state": 0}
# Every net, every kind of batch, and every rule by which a training chooses its result.
CASES = {
    "w2gn": W2Transport("w2gn", **MAPS, plan_size=50),
    "dual": W2Transport(**MAPS, early_stopping=False),
    "few rows": W2Transport("w2gn", **{**MAPS, "batch_size": 512}, plan_size=0),
    "lsot": LSOTTransport(**LINES),
    "qc": QCTransport(**LINES),
    "wp": WpTransport(1.5, **MAPS),
    "w1": W1Transport("critic", **LINES),
    "game": WGANGenerator(**GAME),
    "best of a game": WGANGenerator(**GAME, early_stopping=True),
    "autoencoder": Autoencoder(1, **LINES),
    "autoencoder without held-out rows": Autoencoder(1, **LINES, early_stopping=False),
    "semi-discrete": SemiDiscreteOTGenerator(
        Dense((8,)), batch_size=16, max_iter=3, n_fit_samples=500, n_fit_steps=FIT_STEPS, random_state=0
    ),
}
# It has no net: its steps are those of the solver.
TO_POINTS = SemiDiscreteTransport("normal", tol=0.03, random_state=0)


class Steps(Callback):
    """Writes the number of each step into a file."""

    def __init__(self, path):
        self.path = path

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            number = net.n_iter_ * FIT_STEPS + net.step_ if hasattr(net, "step_") else net.n_iter_
            note(self.path, number)


def note(path, number):
    with open(path, "a") as file:
        file.write(f"{number}\n")


def estimator_of(name, **parameters):
    return clone(TO_POINTS if name == "to points" else CASES[name]).set_params(**parameters)


def fitted(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(estimator, SemiDiscreteTransport):
            return estimator.fit(POINTS)
        return estimator.fit(X, X_target=Y) if isinstance(estimator, BaseTransport) else estimator.fit(Y)


def result(estimator):
    """Images of rows, or samples, or numbers that determine them."""
    if isinstance(estimator, SemiDiscreteTransport):
        return np.r_[estimator.potential_, estimator.gap_, estimator.distance_interval_]
    return estimator.transform(X) if hasattr(estimator, "transform") else estimator.sample(50, random_state=0)


def with_steps_of_the_solver(do):
    """Call a function of the number of rows before each step of the average phase ends."""

    def averages(*args):
        for used in ORIGINAL_STEPS(*args):
            do(used)
            yield used

    return averages


ORIGINAL_STEPS = _average.averages


def fit_in_process(name, folder, parameters):
    """Fit with a checkpoint that is written after every block, and store the result."""
    os.chdir(folder)
    checkpoints.LARGEST_SHARE = math.inf
    estimator = estimator_of(name, checkpoint="fit", **parameters)
    if isinstance(estimator, SemiDiscreteTransport):
        _average.averages = with_steps_of_the_solver(partial(note, "steps"))
    else:
        estimator.set_params(callbacks=[Steps("steps")])
    np.save("unfinished.npy", result(fitted(estimator)))
    os.replace("unfinished.npy", "result.npy")
