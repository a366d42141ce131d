"""Fits of processes that train together: ``torchrun --standalone --nproc-per-node 2 -m tests.nets.together FOLDER``.

Each process writes what it got to a file of the folder. With the argument ``maps`` they are errors of maps.
"""

import contextlib
import io
import math
import os
import pickle
import signal
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot import GAN, Autoencoder, SemiDiscreteOTGenerator, W1Transport, W2Transport, WGANGenerator, checkpoints
from sklearn_ot.adaptation import ClassifierFeatures
from sklearn_ot.datasets import make_potential_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, Dense

RNG = np.random.RandomState(0)
X = RNG.randn(240, 3)
Y = np.abs(RNG.randn(200, 3)) ** 1.3
WEIGHTS = np.linspace(0.1, 1, len(X))
LABELS = (X[:, 0] > 0).astype(int)
N_PROCESSES = 2
BATCH_SIZE = 32


class Normalised(nn.Sequential):
    """A generator with batch normalisation, whose buffers depend on the rows of a process."""

    def __init__(self, latent_dim, n_features):
        super().__init__(nn.Linear(latent_dim, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, n_features))


class Interrupt(Callback):
    """Press Ctrl-C in one of the processes."""

    def __init__(self, index, step):
        self.index, self.step = index, step

    def on_batch_end(self, net, training=False, **kwargs):
        """Send the signal after a step."""
        if net.n_fitted_ == self.step and int(os.environ["RANK"]) == self.index:
            os.kill(os.getpid(), signal.SIGINT)


class PowerCut(BaseException):
    """Nothing catches it, like the end of the process."""


class Ends(Callback):
    """Count steps, and end all processes after some of them."""

    n_steps, last = 0, math.inf

    def on_batch_end(self, net, training=False, **kwargs):
        """Count a step."""
        if training:
            Ends.n_steps += 1
            if Ends.n_steps == Ends.last:
                raise PowerCut


class Clock:
    """A clock that runs in the first process only."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        """One second later than the last time."""
        self.now += os.environ["RANK"] == "0"
        return self.now


def transport(sample_weight=None, **parameters):
    """A transport whose objective is a mean over the rows of a batch."""
    settings = {"solver": "w2gn", "max_iter": 20, "tol": 1.0, "n_iter_no_change": 3, "plan_size": 0}
    return W2Transport(network=Convex((8,)), **{**settings, **parameters}).fit(X, Y, sample_weight=sample_weight)


def game(**parameters):
    """A game whose losses are means over the rows of a batch."""
    networks = {"generator": Dense((8,)), "critic": Dense((8,)), "latent_dim": 3}
    settings = {"constraint": "clip", "max_iter": 20, "early_stopping": False, "instance_noise": 0.1}
    return WGANGenerator(**{**networks, **settings, **parameters}).fit(X)


def normalised(**parameters):
    """A game that is chosen by a score, with buffers."""
    return GAN(generator=Normalised, n_critic=1, early_stopping=True, **parameters).fit(X)


def autoencoder(**parameters):
    """An autoencoder that is chosen by held-out rows."""
    return Autoencoder(1, network=Dense((8,), "silu"), **{"max_iter": 20, "early_stopping": True, **parameters}).fit(X)


def semidiscrete(**parameters):
    """A generator by rounds of regression."""
    settings = {"n_fit_samples": 256, "n_fit_steps": 20, "max_iter": 2, "max_samples": 2000, "latent_dim": 2}
    return SemiDiscreteOTGenerator(Dense((8,)), **settings, **parameters).fit(X[:40])


def features(**parameters):
    """Features of a classifier."""
    return ClassifierFeatures(Dense((8,)), max_iter=20, **parameters).fit(X, LABELS)


LONG = {"max_iter": 300, "tol": 0.0}


def critic(**parameters):
    """A potential, and the map along its rays."""
    return W1Transport(solver="critic", network=Dense((8,), "silu"), **{"max_iter": 20, **parameters}).fit(X, Y)


def resumed(fit, callbacks=(), **parameters):
    """A fit that was ended in its second block and goes on. Each process has a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**parameters, "checkpoint": Path(folder) / "fit", "callbacks": [Ends(), *callbacks]}
        Ends.n_steps, Ends.last = 0, 130
        with contextlib.suppress(PowerCut):
            fit(**settings)
        ended, n_steps = fit(**settings), Ends.n_steps
        again, files = fit(**settings), os.listdir(folder)
        # An error before the last fit would leave the other process waiting. Only the first process has a file, and a
        # further fit takes its result from there.
        if files != ["fit"][int(os.environ["RANK"]) :]:
            raise AssertionError(f"The folder has {files}.")
        for one, other in zip(arrays_of(again), arrays_of(ended), strict=True):
            np.testing.assert_array_equal(one, other)
        # The last 30 steps of the fit that was ended are repeated.
        if Ends.n_steps != n_steps or n_steps < ended.n_iter_ + 30:
            raise AssertionError(f"{n_steps} and {Ends.n_steps} steps, for a result of {ended.n_iter_}.")
    return ended


# Fits with objectives that are means over rows, so that two processes take the steps of one with twice the batch.
LINEAR = {"transport": transport, "game": game, "semidiscrete": semidiscrete}
# Other fits, which are only the same in both processes.
OTHERS = {
    "plan and dual": lambda **p: transport(**p, solver="dual", plan_size="auto", sample_weight=WEIGHTS),
    "critic": critic,
    "normalised": partial(normalised, max_iter=110),
    "autoencoder": autoencoder,
    "features": features,
}
# Fits that end early.
ENDS = {
    "interrupted": lambda **p: transport(**p, max_iter=300, tol=0.0, callbacks=[Interrupt(1, 120)]),
    "resumed in time": lambda **p: resumed(partial(transport, **LONG), callbacks=[TimeBudget(250, clock=Clock())], **p),
    "in time": lambda **p: transport(**p, max_iter=300, tol=0.0, callbacks=[TimeBudget(50, clock=Clock())]),
}
# Fits, and the same ones that were ended and go on.
WHOLE = {
    "long transport": partial(transport, **LONG),
    "long critic": partial(critic, max_iter=220),
    "long game": partial(normalised, max_iter=220),
    "long autoencoder": partial(autoencoder, max_iter=220),
}
RESUMED = {f"{name}, resumed": partial(resumed, fit) for name, fit in WHOLE.items()}
# Fits that raise an error.
ERRORS = {
    "diverged": lambda **p: transport(**p, learning_rate=1e30, max_iter=300),
    "other rows": lambda **p: W2Transport(network=Convex((8,)), **p).fit(X ** (1 + 2 * int(os.environ["RANK"])), Y),
    "other seed": lambda **p: transport(**{**p, "random_state": None}),
    "other steps": lambda **p: transport(**p, max_iter=20 + int(os.environ["RANK"])),
    "one file": lambda **p: transport(**p, checkpoint="fit" if os.environ["RANK"] == "0" else None),
    "no folder": lambda **p: transport(**p, checkpoint="no folder/fit" if os.environ["RANK"] == "0" else "fit"),
}
FITS = {**LINEAR, **OTHERS, **ENDS, **WHOLE, **RESUMED, **ERRORS}


def outcome(fit, **parameters):
    """The weights and facts of a fit, or its error."""
    screen = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(screen):
        warnings.simplefilter("always")
        try:
            estimator = fit(random_state=0, verbose=1, **parameters)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
    messages = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    facts = {"n_iter": estimator.n_iter_, "warnings": messages, "screen": screen.getvalue()}
    history = [{**row, "dur": None} for row in getattr(estimator, "history_", [])]
    return {**facts, "arrays": arrays_of(estimator), "history": history}


def arrays_of(estimator):
    """The weights and buffers of all networks of an estimator."""
    if isinstance(estimator, W1Transport):  # it stores no net
        return [estimator.transform(X)]
    networks = [getattr(estimator.net_, f"{name}_") for name in estimator.net_._modules]
    return [tensor.numpy() for network in networks for tensor in network.state_dict().values()]


# Rounding alone moves the error of one map by a tenth, so that a median needs several.
SEEDS = range(5)


def map_errors(seed, **parameters):
    """L2-UVP, in %, of a map of 16 features and of its inverse."""
    pair = make_potential_pair(16, 10_000, random_state=seed)
    transport = W2Transport(max_iter=1000, random_state=seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        transport.fit(pair.source, pair.target)
    X = pair.sample_source(10_000, random_state=seed + 500)
    Y = pair.transport(X)
    return l2_uvp(transport.transform(X), Y), l2_uvp(transport.inverse_transform(Y), X)


class Steps(Callback):
    """Write a line into a file for each step."""

    def __init__(self, path):
        self.path = path

    def on_batch_end(self, net, training=False, **kwargs):
        """Write the number of the step."""
        if training:
            with open(self.path, "a") as file:
                file.write(f"{net.n_iter_}\n")


def fit_with_checkpoint(index, port, folder):
    """Fit as one of two processes that may be killed, and store the images of rows."""
    from accelerate import Accelerator

    names = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": N_PROCESSES, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in names.items()}})
    Accelerator(cpu=True)
    checkpoints.LARGEST_SHARE = math.inf
    fitted = transport(
        device="accelerate",
        batch_size=BATCH_SIZE,
        random_state=0,
        **{**LONG, "max_iter": 1500, "n_iter_no_change": 100},
        checkpoint=folder / "fit",
        callbacks=[Steps(folder / f"steps {index}")],
    )
    np.save(folder / f"{index}.npy", fitted.transform(X))
    torch.distributed.destroy_process_group()


def main(folder, what="fits"):
    """Run all fits in this process, and store what it got."""
    from accelerate import Accelerator

    checkpoints.LARGEST_SHARE = math.inf
    accelerator = Accelerator(cpu=True)
    parameters = {"device": "accelerate", "batch_size": BATCH_SIZE}
    if what == "fits":
        outcomes = {name: outcome(fit, **parameters) for name, fit in FITS.items()}
    else:
        outcomes = [map_errors(seed, device="accelerate", batch_size=64) for seed in SEEDS]
    path = Path(folder) / f"{accelerator.process_index}.pickle"
    path.write_bytes(pickle.dumps(outcomes))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
