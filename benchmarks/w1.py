"""W1Transport on pairs with a known potential, distance and map of Wasserstein-1.

    python benchmarks/w1.py                                       # everything: some hours
    python benchmarks/w1.py --problems "flats 2" --rows 20000 --seeds 1000
    python benchmarks/w1.py --report                              # the tables of the results so far

The pairs are those of `make_w1_pair`. A seed gives the pair and the rows. The methods are ``default``, `W1Transport()`,
and the published critics ``wgan-gp`` and ``wgan-lp``, which have as many CPU-seconds as the potential of the default,
and no map. Columns, on fresh rows of the source:

``cosine``, ``weighted_cosine``
    Of the gradient of the potential and the true direction x - T(x). The second one is weighted with the distance of
    the row from its image, because many rows of these sources are at a kink of the potential and hardly move.
``distance_error``
    Of ``distance_``, in % of the true distance, with its sign. ``low`` and ``high`` are the ends of
    ``distance_interval_`` (95 %), in % of the true distance.
``map_error``, ``inverse_error``
    Mean squared error of the images and of the preimages, in % of the mean squared move. Not moving has 100 %.
``plan_error``
    The error of the exact distance between 2000 rows of each sample, `sklearn_ot.metrics.wasserstein_distance`.
``potential_s``, ``fit_s``, ``transform_s``
    CPU-seconds of the potential alone, if it is a network, of ``fit``, with the interval, and of ``transform`` of 5000
    rows.
"""

import warnings
from typing import ClassVar

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from _w1_critics import PublishedCritic
from skorch.callbacks import Callback

from sklearn_ot.datasets import make_w1_pair
from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.transport import W1Transport

RESULTS = Results(
    "w1.csv",
    key=("problem", "method", "rows", "seed"),
    columns=(
        "cosine",
        "weighted_cosine",
        "distance",
        "distance_error",
        "low",
        "high",
        "map_error",
        "inverse_error",
        "efficiency",
        "plan_error",
        "cells",
        "warned",
        "potential_s",
        "fit_s",
        "transform_s",
        "diverged",
        "note",
    ),
    packages=("numpy", "scipy", "pot", "torch"),
)
SMALLEST = ["--problems", "flats 2", "--rows", "500", "--seeds", "0"]
# Arguments of make_w1_pair, by name.
PROBLEMS = {
    "flats 2": {"n_features": 2, "n_pieces": 8},
    "40 lines 2": {"n_features": 2, "n_pieces": 40},
    "shells 2": {"n_features": 2, "kind": "shells"},
    "field 2": {"n_features": 2, "kind": "field"},
    "flats 2, student": {"n_features": 2, "target": "student"},
    "flats 3": {"n_features": 3, "n_pieces": 24},
    "planes 3": {"n_features": 3, "kind": "planes"},
    "shells 3": {"n_features": 3, "kind": "shells"},
    "blocks 3, mixture": {"n_features": 3, "kind": "blocks", "target": "mixture"},
    "flats 4": {"n_features": 4, "n_pieces": 16},
    "planes 4": {"n_features": 4, "kind": "planes"},
    "shells 4": {"n_features": 4, "kind": "shells"},
    "flats 4, correlated": {"n_features": 4, "target": "correlated"},
    "flats 5": {"n_features": 5, "n_pieces": 16},
    "shells 5": {"n_features": 5, "kind": "shells"},
    "flats 6": {"n_features": 6},
    "flats 8": {"n_features": 8},
    "shells 8": {"n_features": 8, "kind": "shells"},
    "field 8": {"n_features": 8, "kind": "field"},
    "planes 12": {"n_features": 12, "kind": "planes", "n_pieces": 4},
    "flats 16": {"n_features": 16},
    "blocks 16, mixture": {"n_features": 16, "kind": "blocks", "target": "mixture"},
    "flats 16, correlated": {"n_features": 16, "target": "correlated"},
    "shells 32": {"n_features": 32, "kind": "shells"},
    "flats 64": {"n_features": 64},
}
METHODS = ("default", "wgan-gp", "wgan-lp")
N_TEST_ROWS, N_PLAN_ROWS, N_TRUE_ROWS = 5000, 2000, 300_000


def cosines(pair, transport, X):
    """Cosines of directions at rows, and how far they move."""
    true = X - pair.transport(X)
    moved = np.linalg.norm(true, axis=1)
    gradient = transport.potential(X, return_gradient=True)[1]
    norms = np.linalg.norm(gradient, axis=1) * moved
    return np.sum(true * gradient, axis=1) / np.maximum(norms, np.finfo(float).tiny), moved


def map_error(pair, images, X):
    """The squared error of images in % of the squared move."""
    true = pair.transport(X)
    return float(100 * np.mean((images - true) ** 2) / np.mean((X - true) ** 2))


def shares(cosine, moved):
    """The columns of directions."""
    return {"cosine": float(cosine.mean()), "weighted_cosine": float(cosine @ moved / moved.sum())}


def measured(problem, n_rows, seed):
    """The cells of one row of the default."""
    pair = make_w1_pair(**PROBLEMS[problem], n_samples=n_rows, random_state=seed)
    Stages.seconds.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clock = Clock()
        transport = W1Transport(random_state=seed, callbacks=[Stages()]).fit(pair.source, pair.target)
        fit_s = clock()
    X, Y = pair.sample_source(N_TEST_ROWS, seed + 10**6), pair.sample_target(N_TEST_ROWS, seed + 10**6)
    clock = Clock()
    images = transport.transform(X)
    transform_s = clock()
    true = pair.distance(N_TRUE_ROWS)[0]
    plan = wasserstein_distance(pair.source[:N_PLAN_ROWS], pair.target[:N_PLAN_ROWS], p=1)
    low, high = 100 * transport.distance_interval_ / true
    preimages = transport.inverse_transform(Y)
    lattice = getattr(transport.transport_.inner, "lattice", None)
    return {
        **shares(*cosines(pair, transport, X)),
        "distance": float(true),
        "distance_error": float(100 * (transport.distance_ / true - 1)),
        "low": float(low),
        "high": float(high),
        "map_error": map_error(pair, images, X),
        "inverse_error": float(100 * np.mean((preimages - X) ** 2) / np.mean((X - Y) ** 2)),
        "efficiency": transport.ray_efficiency_,
        "plan_error": float(100 * (plan / true - 1)),
        "cells": "" if lattice is None else "x".join(map(str, lattice.shape)),
        "warned": int(any("doubtful" in str(warning.message) for warning in caught)),
        "potential_s": "" if lattice is not None else Stages.seconds[0],
        "fit_s": fit_s,
        "transform_s": transform_s,
    }


class Stages(Callback):
    """CPU-seconds of each training of a fit, which are kept by the class, because estimators copy their callbacks."""

    seconds: ClassVar[list] = []

    def on_train_begin(self, net, **kwargs):
        """Start the clock."""
        self.clock_ = Clock()

    def on_train_end(self, net, **kwargs):
        """Store the time."""
        self.seconds.append(self.clock_())


def measured_published(problem, method, n_rows, seed, seconds):
    """The cells of one row of a published critic."""
    pair = make_w1_pair(**PROBLEMS[problem], n_samples=n_rows, random_state=seed)
    clock = Clock()
    critic = PublishedCritic(method == "wgan-lp", seconds).fit(pair.source, pair.target)
    fit_s = clock()
    true = pair.distance(N_TRUE_ROWS)[0]
    return {
        **shares(*cosines(pair, critic, pair.sample_source(N_TEST_ROWS, seed + 10**6))),
        "distance": float(true),
        "distance_error": float(100 * (critic.distance_ / true - 1)),
        "potential_s": fit_s,
    }


def measure(arguments, results):
    for problem in arguments.problems:
        for n_rows in arguments.rows:
            for seed in arguments.seeds:
                for method in arguments.methods:
                    key = {"problem": problem, "method": method, "rows": n_rows, "seed": seed}
                    if method == "default":
                        cell = guarded(measured, problem, n_rows, seed)
                    else:
                        default = results.load()[0].get((problem, "default", str(n_rows), str(seed)), {})
                        if not default.get("potential_s"):
                            continue  # a grid has no training to compare with
                        cell = guarded(measured_published, *key.values(), float(default["potential_s"]))
                    results.store({**key, **cell})


def report(results):
    columns = {
        "weighted_cosine": "weighted cosine",
        "distance_error": "distance, %",
        "plan_error": "plan, %",
        "low": "low, %",
        "high": "high, %",
        "map_error": "map, %",
        "inverse_error": "inverse, %",
        "warned": "warned",
        "fit_s": "fit, s",
    }
    by = {"problem": "pair", "rows": "rows"}
    results.summarise("w1_table.csv", by, columns, lambda row: row["method"] == "default" and not row["potential_s"])
    results.summarise("w1_critic.csv", by, columns, lambda row: row["method"] == "default" and row["potential_s"])
    columns = {name: columns.get(name, name) for name in ("cosine", "weighted_cosine", "distance_error")}
    columns["potential_s"] = "training, s"
    results.summarise("w1_published.csv", {**by, "method": "method"}, columns, lambda row: row["potential_s"])


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 20_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
