"""W1Transport in few dimensions, on pairs with a known potential, distance and map of Wasserstein-1.

    python benchmarks/w1.py                                       # everything: about half an hour
    python benchmarks/w1.py --problems "flats 2" --rows 20000 --seeds 1000
    python benchmarks/w1.py --report                              # the tables of the results so far

The pairs are those of `make_w1_pair`. A seed gives the pair and the rows. Columns, on fresh rows of the source:

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
``fit_s``, ``transform_s``
    CPU-seconds of ``fit``, with the interval, and of ``transform`` of 5000 rows.
"""

import warnings

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, guarded, run

from sklearn_ot.datasets import make_w1_pair
from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.transport import W1Transport

RESULTS = Results(
    "w1.csv",
    key=("problem", "rows", "seed"),
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
        "fit_s",
        "transform_s",
        "diverged",
        "note",
    ),
    packages=("numpy", "scipy", "pot"),
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
}
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


def measured(problem, n_rows, seed):
    """The cells of one row."""
    pair = make_w1_pair(**PROBLEMS[problem], n_samples=n_rows, random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clock = Clock()
        transport = W1Transport().fit(pair.source, pair.target)
        fit_s = clock()
    X, Y = pair.sample_source(N_TEST_ROWS, seed + 10**6), pair.sample_target(N_TEST_ROWS, seed + 10**6)
    clock = Clock()
    images = transport.transform(X)
    transform_s = clock()
    cosine, moved = cosines(pair, transport, X)
    true = pair.distance(N_TRUE_ROWS)[0]
    plan = wasserstein_distance(pair.source[:N_PLAN_ROWS], pair.target[:N_PLAN_ROWS], p=1)
    low, high = 100 * transport.distance_interval_ / true
    preimages = transport.inverse_transform(Y)
    return {
        "cosine": float(cosine.mean()),
        "weighted_cosine": float(cosine @ moved / moved.sum()),
        "distance": float(true),
        "distance_error": float(100 * (transport.distance_ / true - 1)),
        "low": float(low),
        "high": float(high),
        "map_error": map_error(pair, images, X),
        "inverse_error": float(100 * np.mean((preimages - X) ** 2) / np.mean((X - Y) ** 2)),
        "efficiency": transport.ray_efficiency_,
        "plan_error": float(100 * (plan / true - 1)),
        "cells": "x".join(map(str, transport.transport_.inner.lattice.shape)),
        "warned": int(any("doubtful" in str(warning.message) for warning in caught)),
        "fit_s": fit_s,
        "transform_s": transform_s,
    }


def measure(arguments, results):
    for problem in arguments.problems:
        for n_rows in arguments.rows:
            for seed in arguments.seeds:
                cell = guarded(measured, problem, n_rows, seed)
                results.store({"problem": problem, "rows": n_rows, "seed": seed, **cell})


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
    results.summarise("w1_table.csv", {"problem": "pair", "rows": "rows"}, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 20_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
