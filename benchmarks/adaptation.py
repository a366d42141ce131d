"""Accuracy in a target without labels, of our estimators and of those of other packages, on one thread.

    python benchmarks/adaptation.py                           # everything: about twenty minutes
    python benchmarks/adaptation.py --tables digits --methods none "label-aware" --seeds 1000
    python benchmarks/adaptation.py --report                  # the tables of the results so far

digits
    USPS and MNIST from the folder that ``SKLEARN_OT_DATA`` names, see `load_usps_mnist`, with its framing "centre":
    5000 random training rows of each domain, and the whole test set of the target. A `ClassifierFeatures` with
    ``Convolutional(activation="relu")``, similar to LeNet-5, is trained on the source. A nearest neighbour classifier
    predicts in its 84 features; ``errors removed`` is the share of its errors without adaptation. CPU-seconds are those
    of the adaptation; those of the first training are in the row "none", and with fine-tuning they are included.
tables
    Breast cancer, wine and 8 × 8 digits of scikit-learn, split in halves at random. Columns are divided by the
    deviations of the source; a nearest neighbour classifier predicts. "sensor": each column of the target has another
    gain (log-normal, 0.3) and offset (0.4 deviations). "label": the target has other proportions of the classes
    (Dirichlet, 2). "both" and "none": both shifts, and no shift.
search
    A `GridSearchCV` over λ of a `W2Transport` (150 steps, two layers of 32 units, without early stopping, so that λ
    matters), with 3 folds and a nearest neighbour classifier at the end: what the λ that `transport_match` or
    `neighbor_consistency` chooses loses against the best one of the grid. Two tables with a shift of the sensor, and
    two moons whose target is bent and stretched.

Methods: `DomainAdapter` with no transport, `GaussianTransport`, `LabelAwareTransport` and `W2Transport` (300 steps);
"estimate" with ``proportions="estimate"``; "chosen" is `DomainAdapterCV` of all these transports (in tables without W2,
and with both proportions), "chosen by row" the same with ``by_row=True``; "fine-tuned" is label-aware with
``fine_tune=3``. Peers: POT's ``EMDTransport`` and ``SinkhornLpl1Transport`` (``reg_e`` and ``reg_cl`` are 0.01 of the
largest cost) of at most 2000 rows of each domain,
a `StandardScaler` for each domain, and the closest methods of skada, if it is installed, with their own settings, on as
many rows; ``JDOTClassifier`` with logistic regression, all others with the nearest neighbour classifier.
"""

import warnings
from copy import deepcopy
from functools import partial

import numpy as np
from _adaptation_peers import POT_PEERS, SKADA_KINDS, Skada
from _adaptation_search import SCORES, load_moons, search_regs
from _common import SEEDS, Clock, Results, argument_parser, guarded, run, without_missing
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.adaptation import ClassifierFeatures, DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.datasets import load_usps_mnist
from sklearn_ot.networks import Convolutional
from sklearn_ot.transport import GaussianTransport, W2Transport

RESULTS = Results(
    "adaptation.csv",
    key=("table", "problem", "seed", "method"),
    columns=("accuracy", "none", "cpu_s", "wall_s", "chosen", "diverged", "note"),
    packages=("scikit-learn", "torch", "POT"),
)
SMALLEST = ["--tables", "tables", "--seeds", "0", "--problems", "wine sensor"]
MAX_ROWS = 5000
KNN = KNeighborsClassifier(1)
DIRECTIONS = ("USPS to MNIST", "MNIST to USPS")
TABLES = {"breast cancer": load_breast_cancer, "wine": load_wine, "digits 8x8": load_digits}
SHIFTS = ("none", "sensor", "label", "both")
HALVES = tuple(f"{table} {shift}" for table in TABLES for shift in SHIFTS)
PROBLEMS = (*DIRECTIONS, *HALVES, "moons")
W2 = W2Transport(max_iter=300, random_state=0)
OURS = {"Gaussian": GaussianTransport(), "label-aware": LabelAwareTransport()}
PEERS = (*POT_PEERS, *(f"{kind} (skada)" for kind in SKADA_KINDS))
# The module that a method needs beyond the core dependencies.
NEEDS = {name: "skada" for name in PEERS if name.endswith("(skada)")}


def methods_of(table):
    """Adapters by name; the function of each makes it from a fitted feature extractor or None."""
    adapters = {name: DomainAdapter(transport, KNN) for name, transport in {"none": None, **OURS, **POT_PEERS}.items()}
    # JDOTClassifier trains a classifier by its probabilities.
    adapters |= {
        f"{kind} (skada)": Skada(kind, LogisticRegression() if kind == "JDOTClassifier" else KNN)
        for kind in SKADA_KINDS
    }
    if table == "digits":
        adapters["W2"] = DomainAdapter(W2, KNN)
        adapters["chosen"] = DomainAdapterCV([*OURS.values(), W2], KNN)
        adapters["chosen by row"] = DomainAdapterCV([*OURS.values(), W2], KNN, by_row=True)
        adapters["fine-tuned"] = DomainAdapter(LabelAwareTransport(), KNN, fine_tune=3)
        return adapters
    for name, transport in OURS.items():
        adapters[f"{name}, estimate"] = DomainAdapter(transport, KNN, proportions="estimate")
    both = ("source", "estimate")
    adapters["chosen"] = DomainAdapterCV([*OURS.values()], KNN, proportions=both)
    adapters["chosen by row"] = DomainAdapterCV([*OURS.values()], KNN, proportions=both, by_row=True)
    return adapters


METHODS = list(dict.fromkeys([*methods_of("digits"), *methods_of("tables")]))


def load_direction(problem, seed):
    """Training rows of both domains, and test rows of the target, as flattened images."""
    pair = load_usps_mnist(framing="centre")
    source, target = (pair.source, pair.target) if problem == DIRECTIONS[0] else (pair.target, pair.source)
    rng = np.random.RandomState(seed)
    rows, target_rows = (rng.permutation(len(domain.y_train))[:MAX_ROWS] for domain in (source, target))
    images = source.images_train[rows], target.images_train[target_rows], target.images_test
    flat = [image.reshape(len(image), -1) for image in images]
    return flat[0], source.y_train[rows], flat[1], flat[2], target.y_test


def load_halves(problem, seed):
    """Rows of both domains, and the target's again as test rows."""
    table, _, shift = problem.rpartition(" ")
    X, y = TABLES[table](return_X_y=True)
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(X))
    source, target = order[: len(X) // 2], order[len(X) // 2 :]
    if shift in ("label", "both"):
        shares = rng.dirichlet(np.full(y.max() + 1, 2.0)) * 0.85 + 0.15 / (y.max() + 1)
        target = target[with_shares(y[target], shares, rng)]
    deviation = X[source].std(axis=0)
    X = (X - X[source].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    target_rows = X[target]
    if shift in ("sensor", "both"):
        target_rows = target_rows * np.exp(0.3 * rng.randn(X.shape[1])) + 0.4 * rng.randn(X.shape[1])
    return X[source], y[source], target_rows, target_rows, y[target]


# The problems of the search over λ, by the function that makes them from a seed.
SEARCHES = {"moons": load_moons}
SEARCHES |= {problem: partial(load_halves, problem) for problem in ("breast cancer sensor", "wine sensor")}


def with_shares(y, shares, rng):
    """Indices of rows whose classes have these shares, as many as there are, and 40 or more."""
    n_rows = max(int(np.min(np.bincount(y) / shares)), 40)
    rows = [rng.permutation(np.flatnonzero(y == k))[: max(round(n_rows * share), 2)] for k, share in enumerate(shares)]
    return rng.permutation(np.concatenate(rows))


def evaluate(adapter, data, extractor, spent):
    """Fit an adapter, and measure its accuracy and its time."""
    X, y, X_target, X_test, y_test = data
    clock = Clock()
    if extractor is not None:
        if not getattr(adapter, "fine_tune", 0):
            X, X_target, X_test = (extractor.transform(rows).astype(float) for rows in (X, X_target, X_test))
        else:
            adapter.set_params(feature_extractor=deepcopy(extractor))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        adapter.fit(X, y, X_target=X_target)
    seconds = clock.seconds()
    if getattr(adapter, "fine_tune", 0):
        seconds = {name: value + spent[name] for name, value in seconds.items()}
    cell = {"accuracy": float(np.mean(adapter.predict(X_test, domain="target") == y_test)), **seconds}
    if isinstance(adapter, DomainAdapterCV):
        cell["chosen"] = f"{type(adapter.best_transport_).__name__}, {adapter.best_proportions_}"
    return cell


def measure(arguments, results):
    """Measure each method on each problem, and each search, and store their rows."""
    for problem, load in SEARCHES.items() if "search" in arguments.tables else ():
        for seed in arguments.seeds if problem in arguments.problems else ():
            for method, cell in search_regs(load(seed), seed).items():
                results.store({"table": "search", "problem": problem, "seed": seed, "method": method, **cell})
    methods = without_missing(arguments.methods or METHODS, NEEDS, bool(arguments.methods))
    for problem in arguments.problems:
        table = "digits" if problem in DIRECTIONS else "tables" if problem in HALVES else "search"
        if table not in arguments.tables or table == "search":
            continue
        for seed in arguments.seeds:
            data = load_direction(problem, seed) if table == "digits" else load_halves(problem, seed)
            extractor, clock = None, Clock()
            if table == "digits":
                network = Convolutional(activation="relu")
                extractor = ClassifierFeatures(network, random_state=seed).fit(data[0], data[1])
            spent, baseline = clock.seconds(), ""
            for method, adapter in methods_of(table).items():
                if method != "none" and method not in methods:
                    continue
                cell = guarded(evaluate, adapter, data, extractor, spent)
                if method == "none":
                    baseline = cell["accuracy"]
                    cell |= {name: round(value, 4) for name, value in spent.items()}
                key = {"table": table, "problem": problem, "seed": seed, "method": method}
                results.store({**key, **cell, "none": baseline})


def report(results):
    """Print and write the summaries of the tables."""
    for table, summarise in SUMMARIES.items():
        rows = [row for row in results.rows() if row["table"] == table and row["accuracy"]]
        if rows:
            results.write_table(f"adaptation_{table}.csv", summarise(rows))


def summary_of_digits(rows):
    """For each direction and method, the accuracy, the share of the errors removed by seed, and the seconds."""
    lines = [("direction", "method", "accuracy, %", "errors removed, % (each seed)", "CPU-s")]
    for problem, method in dict.fromkeys((row["problem"], row["method"]) for row in rows):
        cells = [row for row in rows if (row["problem"], row["method"]) == (problem, method)]
        accuracy, none, seconds = (np.array([float(c[name]) for c in cells]) for name in ("accuracy", "none", "cpu_s"))
        removed = 100 * (accuracy - none) / (1 - none)
        each = ", ".join(f"{value:.0f}" for value in removed)
        lines.append(
            (problem, method, f"{100 * accuracy.mean():.1f}", f"{removed.mean():.0f} ({each})", f"{seconds.mean():.1f}")
        )
    return lines


def summary_of_tables(rows):
    """For each method the gain in points by shift, over all tables and seeds, the mean, and the worst."""
    lines = [("method", *(f"shift: {shift}" for shift in SHIFTS), "mean", "worst")]
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = [row for row in rows if row["method"] == method]
        gains = {shift: [] for shift in SHIFTS}
        for cell in cells:
            shift = cell["problem"].rpartition(" ")[2]
            gains[shift].append(100 * (float(cell["accuracy"]) - float(cell["none"])))
        everything = np.concatenate(list(gains.values()))
        means = [f"{np.mean(values):+.2f}" if values else "" for values in gains.values()]
        lines.append((method, *means, f"{everything.mean():+.2f}", f"{everything.min():+.1f}"))
    best = {}
    for row in rows:
        if row["method"] not in (*PEERS, "chosen", "chosen by row"):
            key = row["problem"], row["seed"]
            best[key] = max(best.get(key, -np.inf), 100 * (float(row["accuracy"]) - float(row["none"])))
    return [*lines, ("best of ours, by labels", *[""] * len(SHIFTS), f"{np.mean(list(best.values())):+.2f}", "")]


def summary_of_searches(rows):
    """For each problem the mean accuracy by λ, and what the choice of each score loses against the best λ."""
    regs = list(dict.fromkeys(row["method"] for row in rows))
    lines = [("problem", *(f"λ: {reg[4:]}" for reg in regs), *(f"lost by {score}, points" for score in SCORES))]
    for problem in dict.fromkeys(row["problem"] for row in rows):
        cells = [row for row in rows if row["problem"] == problem]
        accuracy = {(cell["method"], cell["seed"]): 100 * float(cell["accuracy"]) for cell in cells}
        seeds = list(dict.fromkeys(cell["seed"] for cell in cells))
        means = [f"{np.mean([accuracy[reg, seed] for seed in seeds]):.1f}" for reg in regs]
        lost = []
        for score in SCORES:
            chosen = [accuracy[c["method"], c["seed"]] for c in cells if score in c["chosen"]]
            each = [max(accuracy[reg, s] for reg in regs) - value for s, value in zip(seeds, chosen, strict=True)]
            lost.append(f"{np.mean(each):.1f} ({', '.join(f'{value:.1f}' for value in each)})")
        lines.append((problem, *means, *lost))
    return lines


# The summary of each table of results.
SUMMARIES = {"digits": summary_of_digits, "tables": summary_of_tables, "search": summary_of_searches}


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=SUMMARIES, default=list(SUMMARIES))
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="all that are installed, if not given")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
