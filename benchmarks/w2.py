"""Maps of the squared cost by our estimators and other packages: error against time and dimension for known maps.

    python benchmarks/w2.py                                      # everything: more than a day
    python benchmarks/w2.py --tables potential --dims 16 --budgets 60 --methods dual "POT EMD"
    python benchmarks/w2.py --report                             # tables and pictures of the results so far

All methods are fitted in turn, on one thread, for each seed and dimension. Each result is written to results/w2.csv at
once, and replaces an older one of the same problem, seed, method and budget. Times are CPU-seconds of this process, so
that other programs have little effect on them. A budget is for the training, with the exact plan at which our methods
start in few dimensions. The Gaussian map, which is computed before and takes a fraction of a second in most dimensions,
only counts in ``cpu_s``. Tables:

potential
    `make_potential_pair`, 100 000 rows of each sample: multi-modal, and not solved by a linear map. Error: L2-UVP in %
    on 10 000 fresh rows.
families
    `make_potential_pair` with each ``family``, 100 000 rows of each sample. The source changes with the seed: mixtures
    of 3, 5 and 10 Gaussians, a cube, a mixture with 90 % of its variance in d / 4 directions, and Student's t. Error:
    L2-UVP in % on 10 000 fresh rows.
gaussian
    `make_gaussian_pair`, max(20 000, 100 D) rows of each sample. The error of the closed form is that of the
    covariances, about 50 D / n % for n rows of each sample, which is below 0.5 % in every dimension. Error: L2-UVP in
    %.
toys
    N(0, I) to the toys of `make_toy`, 20 000 rows of each sample. Error: exact W2 between 2000 mapped fresh rows and
    2000 fresh rows of the target, divided by that between two fresh samples of the target; the best possible value is
    about 1.

A method that fails or returns a number that is not finite has ``diverged`` = 1 and no error; ``note`` has the reason.
With ``--budgets inf`` our methods have their default settings and stop by themselves.
"""

import math
from functools import partial
from types import SimpleNamespace

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, guarded, run, without_missing
from _w2_methods import METHODS, NEEDS, OTHERS, WITHOUT_BUDGET
from _w2_ott import import_jax
from _w2_report import report

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair, make_toy
from sklearn_ot.metrics import l2_uvp, wasserstein_distance

RESULTS = Results(
    "w2.csv",
    key=("problem", "features", "seed", "method", "budget_s"),
    columns=("forward", "inverse", "cpu_s", "cpu_s_with_compilation", "wall_s", "rows", "steps", "diverged", "note"),
    packages=("torch", "POT", "ott-jax", "jax"),
)
SMALLEST = [
    *("--dims", "2", "--toys", "moons", "--rows", "300", "--test-rows", "200", "--seeds", "0"),
    *("--budgets", "0.03", "0.06", "--methods", "Bures", "POT EMD", "EMD + regression", "dual", "w2gn", "w2gn-paper"),
    *("lsot-l2", "qc"),
]
TABLES = ("potential", "families", "gaussian", "toys")
# Each family has another source with each of three seeds. Rows of "student" have no finite variance after "ridge".
SOURCES = ("mixture", "uniform", "correlated", "student")
FAMILIES = ("ridge", "logsumexp", "icnn", "envelope", "separable")
TOYS = ("8gaussians", "25gaussians", "49gaussians", "100gaussians", "moons", "rings", "swiss_roll")


def known_pair(pair, source, target, n_test_rows, seed):
    """A problem with a known map."""
    X = pair.sample_source(n_test_rows or 10_000, random_state=seed + 500).astype(source.dtype)
    Y = pair.transport(X).astype(source.dtype)
    return SimpleNamespace(
        source=source,
        target=target,
        forward_error=lambda forward: l2_uvp(forward(X), Y),
        inverse_error=lambda inverse: l2_uvp(inverse(Y), X),
    )


def potential(n_features, n_rows, n_test_rows, seed):
    pair = make_potential_pair(n_features, n_rows or 100_000, random_state=seed)
    return known_pair(pair, pair.source, pair.target, n_test_rows, seed)


def family(name, n_features, n_rows, n_test_rows, seed):
    turn = seed % 4
    pair = make_potential_pair(
        n_features,
        n_rows or 100_000,
        family=name,
        source=SOURCES[(FAMILIES.index(name) + turn) % 4],
        n_components=(3, 5, 10)[turn % 3],
        random_state=seed,
    )
    return known_pair(pair, pair.source, pair.target, n_test_rows, seed)


def gaussian(n_features, n_rows, n_test_rows, seed):
    pair = make_gaussian_pair(n_features, 1, random_state=seed)
    n_rows = n_rows or max(20_000, 100 * n_features)
    rng = np.random.default_rng(seed)

    def draw(mean, covariance):
        # In float32 and in chunks: in 4096 dimensions a sample takes 7 GB, and in float64 an hour.
        root = np.linalg.cholesky(covariance).astype(np.float32)
        rows = rng.standard_normal((n_rows, n_features), dtype=np.float32)
        for first in range(0, n_rows, 8192):
            piece = rows[first : first + 8192]
            piece[:] = piece @ root.T + mean.astype(np.float32)
        return rows

    source, target = (draw(pair[f"{side}_mean"], pair[f"{side}_covariance"]) for side in ("source", "target"))
    return known_pair(pair, source, target, n_test_rows, seed)


def toy(name, n_rows, n_test_rows, seed):
    rng = np.random.RandomState(seed)
    sizes = (n_rows or 20_000, n_test_rows or 2000, n_test_rows or 2000)
    source, X, X_other = (rng.standard_normal((n, 2)) for n in sizes)
    target, Y, Y_other = (make_toy(name, n, random_state=rng) for n in sizes)
    return SimpleNamespace(
        source=source,
        target=target,
        forward_error=lambda forward: wasserstein_distance(forward(X), Y) / wasserstein_distance(Y_other, Y),
        inverse_error=lambda inverse: wasserstein_distance(inverse(Y), X) / wasserstein_distance(X_other, X),
    )


def problems(tables, dims, families, toys):
    """Name, number of features and function of each problem that the arguments ask for."""
    if "potential" in tables:
        for n_features in dims or [2**k for k in range(1, 9)]:
            yield "potential", n_features, partial(potential, n_features)
    if "families" in tables:
        for name in families:
            for n_features in dims or (8, 16, 64, 128):
                yield f"family {name}", n_features, partial(family, name, n_features)
    if "gaussian" in tables:
        for n_features in dims or [2**k for k in range(1, 13)]:
            yield "gaussian", n_features, partial(gaussian, n_features)
    if "toys" in tables:
        for name in toys:
            yield f"toy {name}", 2, partial(toy, name)


def run_cell(problem, method, budget_s, seed):
    """Fit a method, measure its errors, and return the cells of the row."""
    clock = Clock()
    forward, inverse, facts = METHODS[method](problem.source, problem.target, budget_s, seed)
    seconds = clock.seconds()
    cell = {
        "cpu_s": seconds["cpu_s"] - facts.get("compile_s", 0.0),
        "cpu_s_with_compilation": seconds["cpu_s"],
        "wall_s": seconds["wall_s"],
        "steps": facts.get("steps", ""),
        "forward": problem.forward_error(forward),
    }
    return cell if inverse is None else {**cell, "inverse": problem.inverse_error(inverse)}


def cells(methods, budgets):
    """Pairs of a method and a budget; methods without a budget come first, and once."""
    yield from ((method, None) for method in methods if method in WITHOUT_BUDGET)
    for budget_s in budgets:
        for method in methods:
            # The methods of others do not stop by themselves.
            if method not in WITHOUT_BUDGET and not (method in OTHERS and math.isinf(budget_s)):
                yield method, budget_s


def measure(arguments, results):
    """Measure each cell, and store its row."""
    methods = without_missing(arguments.methods or METHODS, NEEDS, asked=arguments.methods)
    if any(NEEDS.get(method) == "ott" for method in methods):
        import_jax()  # takes seconds, which should not count for any method
    for seed in arguments.seeds:
        for name, n_features, make in problems(arguments.tables, arguments.dims, arguments.families, arguments.toys):
            problem = make(arguments.rows, arguments.test_rows, seed)
            budgets = arguments.budgets or ((15.0, 60.0, 300.0) if name == "potential" else (60.0,))
            for method, budget_s in cells(methods, budgets):
                key = {"problem": name, "features": n_features, "seed": seed, "method": method}
                key["budget_s"] = "" if budget_s is None else f"{budget_s:g}"
                cell = guarded(run_cell, problem, method, budget_s, seed)
                results.store({**key, "rows": len(problem.source), **cell})


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--dims", nargs="+", type=int, help="powers of 2 up to 256 (potential), 4096 (gaussian)")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--toys", nargs="+", choices=TOYS, default=TOYS)
    parser.add_argument("--budgets", nargs="+", type=float, help="CPU-s; default 15 60 300 (potential), 60 (others)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rows", type=int, help="rows a side, instead of the table's own")
    parser.add_argument("--test-rows", type=int, help="fresh rows to judge on, instead of the table's own")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
