"""Maps of the squared cost, ours and others': error against time and against dimension, where the truth is known.

    python benchmarks/w2.py                                      # everything: more than a day
    python benchmarks/w2.py --tables potential --dims 16 --budgets 60 --methods dual "POT EMD"
    python benchmarks/w2.py --report                             # tables and pictures of what is there

All methods are fitted in turn, on one thread, for each seed and dimension; each result is written to results/w2.csv at
once, in the place of an older one of the same problem, seed, method and budget. Times are CPU-seconds of this process,
so that a busy machine adds little to them. Tables:

potential
    `make_potential_pair`, 100 000 rows a side: multi-modal, no linear map solves it. Error: L2-UVP in % on 10 000
    fresh rows.
gaussian
    `make_gaussian_pair`, max(20 000, 100 D) rows a side. The error of the closed form is that of the covariances,
    about 50 D / n % from n rows a side, so that it is below 0.5 % in every dimension. Error: L2-UVP in %.
toys
    N(0, I) to the toys of `make_toy`, 20 000 rows a side. Error: exact W2 between 2000 fresh rows, mapped, and 2000
    fresh rows of the target, divided by that between two fresh samples of the target; near 1 is the best possible.

A method that fails or gives anything that is not finite has ``diverged`` = 1 and no error; ``note`` says why. With
``--budgets inf`` ours are fitted at their defaults, until they stop by themselves.
"""

import argparse
import importlib.util
import math
import time
from types import SimpleNamespace

import numpy as np
import torch
from _common import Results
from _w2_methods import METHODS, OTT, WITHOUT_BUDGET, import_jax
from _w2_report import report
from threadpoolctl import threadpool_limits

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair, make_toy
from sklearn_ot.metrics import l2_uvp, wasserstein_distance

RESULTS = Results(
    "w2.csv",
    key=("problem", "features", "seed", "method", "budget_s"),
    columns=("forward", "inverse", "cpu_s", "cpu_s_with_compilation", "wall_s", "rows", "steps", "diverged", "note"),
    packages=("torch", "POT", "ott-jax", "jax"),
)
SEEDS = (1000, 1001, 1002)  # settings were chosen on seeds below 1000
N_TEST_ROWS = 10_000
TOYS = ("8gaussians", "25gaussians", "moons", "rings", "swiss_roll")


def known_pair(pair, source, target, seed):
    """A problem of which the map is known."""
    X = pair.sample_source(N_TEST_ROWS, random_state=seed + 500).astype(source.dtype)
    Y = pair.transport(X).astype(source.dtype)
    return SimpleNamespace(
        source=source,
        target=target,
        forward_error=lambda forward: l2_uvp(forward(X), Y),
        inverse_error=lambda inverse: l2_uvp(inverse(Y), X),
    )


def potential(n_features, n_rows, seed):
    pair = make_potential_pair(n_features, n_rows or 100_000, random_state=seed)
    return known_pair(pair, pair.source, pair.target, seed)


def gaussian(n_features, n_rows, seed):
    pair = make_gaussian_pair(n_features, 1, random_state=seed)
    n_rows = n_rows or max(20_000, 100 * n_features)
    rng = np.random.default_rng(seed)

    def draw(mean, covariance):
        # In float32 and piece by piece: in 4096 dimensions a sample takes 7 GB, and an hour in float64.
        root = np.linalg.cholesky(covariance).astype(np.float32)
        rows = rng.standard_normal((n_rows, n_features), dtype=np.float32)
        for start in range(0, n_rows, 8192):
            piece = rows[start : start + 8192]
            piece[:] = piece @ root.T + mean.astype(np.float32)
        return rows

    source, target = (draw(pair[f"{side}_mean"], pair[f"{side}_covariance"]) for side in ("source", "target"))
    return known_pair(pair, source, target, seed)


def toy(name, n_rows, seed):
    rng = np.random.RandomState(seed)
    n_rows = n_rows or 20_000
    source, X, X_other = (rng.standard_normal((n, 2)) for n in (n_rows, 2000, 2000))
    target, Y, Y_other = (make_toy(name, n, random_state=rng) for n in (n_rows, 2000, 2000))
    return SimpleNamespace(
        source=source,
        target=target,
        forward_error=lambda forward: wasserstein_distance(forward(X), Y) / wasserstein_distance(Y_other, Y),
        inverse_error=lambda inverse: wasserstein_distance(inverse(Y), X) / wasserstein_distance(X_other, X),
    )


def problems(tables, dims):
    """Name, number of features and function of each problem that was asked for."""
    if "potential" in tables:
        for n_features in dims or [2**k for k in range(1, 9)]:
            yield "potential", n_features, lambda *args, n=n_features: potential(n, *args)
    if "gaussian" in tables:
        for n_features in dims or [2**k for k in range(1, 13)]:
            yield "gaussian", n_features, lambda *args, n=n_features: gaussian(n, *args)
    if "toys" in tables:
        for name in TOYS:
            yield f"toy {name}", 2, lambda *args, name=name: toy(name, *args)


def run_cell(problem, method, budget_s, seed):
    """Fit and judge: what the row says of it. A failure is a result."""
    cell = {"rows": len(problem.source), "diverged": 0}
    start, start_wall = time.process_time(), time.perf_counter()
    try:
        forward, inverse, facts = METHODS[method](problem.source, problem.target, budget_s, seed)
        seconds, cell["wall_s"] = time.process_time() - start, time.perf_counter() - start_wall
        cell |= {
            "cpu_s": seconds - facts.get("compile_s", 0.0),
            "cpu_s_with_compilation": seconds,
            "steps": facts.get("steps", ""),
            "forward": problem.forward_error(forward),
        }
        if inverse is not None:
            cell["inverse"] = problem.inverse_error(inverse)
    except Exception as error:
        cell |= {"diverged": 1, "note": f"{type(error).__name__}: {error}".replace("\n", " ")[:200]}
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in cell.items()}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=("potential", "gaussian", "toys"), default=None)
    parser.add_argument("--dims", nargs="+", type=int, help="powers of 2 up to 256 (potential), 4096 (gaussian)")
    parser.add_argument("--budgets", nargs="+", type=float, help="CPU-s; default 15 60 300 (potential), 60 (others)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rows", type=int, help="rows a side, instead of the table's own")
    parser.add_argument("--report", action="store_true", help="no fits: tables and pictures of the results so far")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.report:
        report(list(RESULTS.load()[0].values()))
        return
    torch.set_num_threads(1)
    methods = arguments.methods or list(METHODS)
    if importlib.util.find_spec("ott") is None:
        print("ott-jax is not installed: its methods are left out. They need: pip install '.[bench]'")
        methods = [method for method in methods if method not in OTT]
    elif OTT.keys() & set(methods):
        import_jax()  # seconds that no method should be charged
    tables = arguments.tables or ("potential", "gaussian", "toys")
    for seed in arguments.seeds:
        for name, n_features, make in problems(tables, arguments.dims):
            problem = make(arguments.rows, seed)
            budgets = arguments.budgets or ((15.0, 60.0, 300.0) if name == "potential" else (60.0,))
            for method, budget_s in cells(methods, budgets):
                key = {"problem": name, "features": n_features, "seed": seed, "method": method}
                key["budget_s"] = "" if budget_s is None else f"{budget_s:g}"
                with threadpool_limits(1):
                    cell = run_cell(problem, method, budget_s, seed)
                RESULTS.store({**key, **cell})


def cells(methods, budgets):
    """Pairs of a method and its budget: the methods in turn, those without a budget once."""
    yield from ((method, None) for method in methods if method in WITHOUT_BUDGET)
    for budget_s in budgets:
        for method in methods:
            # ott-jax does not stop by itself.
            if method not in WITHOUT_BUDGET and not (method in OTT and math.isinf(budget_s)):
                yield method, budget_s


if __name__ == "__main__":
    main()
