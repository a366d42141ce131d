"""WpTransport on pairs with a known map for a power of the distance.

    python benchmarks/wp.py                                       # everything: about an hour and a quarter of CPU time
    python benchmarks/wp.py --powers 3 --dimensions 2 --methods wp --seeds 1000
    python benchmarks/wp.py --report                              # the table of the results so far

The pairs are those of `make_wp_pair`; a seed gives the pair and the rows. The map of "turning" pairs is not that of the
squared cost; "random" pairs do not test the power. A method has 60 CPU-seconds:

``wp``
    `WpTransport` with its defaults, which may end before.
``w2``
    `W2Transport`, the map of the wrong power.
``plan``
    The exact plan (POT) of the cost between 8000 rows of each sample, which takes about that long. A fresh row moves
    like the nearest source row of the plan, the rule of ``ot.da``.

Columns, on 5000 fresh rows:

``forward``, ``inverse``
    L2-UVP of the images and of the preimages, in %: the mean squared error divided by the variance of the true ones.
``distance_error``
    Of ``distance_``, in % of the true distance, with its sign; for the plan, of the root of its mean cost.
``fit_s``, ``transform_s``, ``inverse_s``
    CPU-seconds.
"""

import time

import torch
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from sklearn.neighbors import NearestNeighbors

from sklearn_ot.datasets import make_wp_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.nets import TimeBudget
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.transport import W2Transport, WpTransport

RESULTS = Results(
    "wp.csv",
    key=("kind", "p", "features", "rows", "method", "seed"),
    columns=(
        "forward",
        "inverse",
        "distance_error",
        "steps",
        "fit_s",
        "transform_s",
        "inverse_s",
        "diverged",
        "note",
    ),
    packages=("numpy", "torch", "pot"),
)
SMALLEST = ["--powers", "3", "--dimensions", "2", "--rows", "200", "--seeds", "0", "--seconds", "1"]
N_TEST_ROWS = 5000


class PlanMap:
    """The map of the exact plan between some rows, and its inverse."""

    n_iter_ = None

    def __init__(self, p, n_rows):
        self.p, self.n_rows = p, n_rows  # of fewer rows, all

    def fit(self, X, Y):
        self.rows = X[: self.n_rows], Y[: self.n_rows]
        plan = exact_plan(*map(torch.from_numpy, self.rows), cost=EuclideanPower(self.p))
        self.partner = plan.partner.numpy()
        self.distance_ = float(plan.value) ** (1 / self.p)
        return self

    def transform(self, X):
        return _moved(X, self.rows[0], self.rows[1][self.partner])

    def inverse_transform(self, Y):
        return _moved(Y, self.rows[1][self.partner], self.rows[0])


def _moved(X, rows, images):
    nearest = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(X, return_distance=False)[:, 0]
    return images[nearest] + X - rows[nearest]


def method_of(name, p, arguments):
    budget = {"callbacks": [TimeBudget(arguments.seconds, clock=time.process_time)], "random_state": 0}
    methods = {
        "wp": lambda: WpTransport(p, **budget),
        "w2": lambda: W2Transport(**budget),
        "plan": lambda: PlanMap(p, arguments.plan_rows),
    }
    return methods[name]()


def measured(kind, p, n_features, n_rows, name, seed, arguments):
    """The cells of one row."""
    pair = make_wp_pair(n_features, n_rows, p=p, kind=kind, random_state=seed)
    X, Y = pair.sample_source(N_TEST_ROWS, seed + 10**6), pair.sample_target(N_TEST_ROWS, seed + 10**6)
    method, times, clock = method_of(name, p, arguments), [], Clock()
    method.fit(pair.source, pair.target)
    times.append(clock())
    results = []
    for function, rows in ((method.transform, X), (method.inverse_transform, Y)):
        clock = Clock()
        results.append(function(rows))
        times.append(clock())
    distance = getattr(method, "distance_", None) or method.wasserstein_distance_
    return {
        "forward": l2_uvp(results[0], Y),
        "inverse": l2_uvp(results[1], X),
        "distance_error": float(100 * (distance / pair.distance()[0] - 1)),
        "steps": method.n_iter_,
        **dict(zip(("fit_s", "transform_s", "inverse_s"), times, strict=True)),
    }


def measure(arguments, results):
    for seed in arguments.seeds:
        for kind in arguments.kinds:
            for p in arguments.powers:
                for n_features in arguments.dimensions:
                    for name in arguments.methods:
                        cell = (kind, p, n_features, arguments.rows, name, seed)
                        key = dict(zip(RESULTS.key, cell, strict=True))
                        results.store({**key, **guarded(measured, *cell, arguments)})


def report(results):
    columns = {
        "forward": "forward, %",
        "inverse": "inverse, %",
        "distance_error": "distance, %",
        "fit_s": "fit, s",
        "transform_s": "transform, s",
        "inverse_s": "inverse, s",
    }
    keys = {"kind": "pair", "p": "p", "features": "features", "rows": "rows", "method": "method"}
    results.summarise("wp_table.csv", keys, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--kinds", nargs="+", default=["turning"], choices=["turning", "random"])
    parser.add_argument("--powers", nargs="+", type=float, default=[1.5, 3.0, 4.0])
    parser.add_argument("--dimensions", nargs="+", type=int, default=[2, 8, 16])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--methods", nargs="+", default=["wp", "w2", "plan"], choices=["wp", "w2", "plan"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--plan-rows", type=int, default=8000)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
