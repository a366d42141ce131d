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

Methods: `DomainAdapter` with no transport, `GaussianTransport`, `LabelAwareTransport` and `W2Transport` (300 steps);
"estimate" with ``proportions="estimate"``; "chosen" is `DomainAdapterCV` of all these transports (in tables without W2,
and with both proportions); "fine-tuned" is label-aware with ``fine_tune=3``. Peers: POT's ``EMDTransport`` and
``SinkhornLpl1Transport`` (``reg_e`` and ``reg_cl`` are 0.01 of the largest cost) of at most 2000 rows of each domain,
and a `StandardScaler` for each domain.
"""

import warnings
from copy import deepcopy

import numpy as np
import ot
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

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
MAX_ROWS, MAX_PEER_ROWS = 5000, 2000
KNN = KNeighborsClassifier(1)
DIRECTIONS = ("USPS to MNIST", "MNIST to USPS")
TABLES = {"breast cancer": load_breast_cancer, "wine": load_wine, "digits 8x8": load_digits}
SHIFTS = ("none", "sensor", "label", "both")
PROBLEMS = (*DIRECTIONS, *(f"{table} {shift}" for table in TABLES for shift in SHIFTS))


class Peer(BaseEstimator):
    """A transport of POT, with the methods and tags that `DomainAdapter` needs."""

    def __init__(self, kind, reg=None):
        self.kind = kind
        self.reg = reg

    def fit(self, X, y, *, X_target):
        """Fit it to some of the rows; its own extension moves the others."""
        rng = np.random.RandomState(0)
        rows, target = (rng.permutation(len(Z))[:MAX_PEER_ROWS] for Z in (X, X_target))
        options = {} if self.reg is None else {"reg_e": self.reg, "reg_cl": self.reg, "norm": "max"}
        self.fitted_ = getattr(ot.da, self.kind)(**options)
        self.fitted_.fit(Xs=X[rows], ys=np.unique(y, return_inverse=True)[1][rows], Xt=X_target[target])
        return self

    def transform(self, X):
        """Images of the rows."""
        return self.fitted_.transform(Xs=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class Scalers(BaseEstimator):
    """A StandardScaler for each domain: columns of the source get the mean and the deviation of the target."""

    def fit(self, X, y=None, *, X_target):
        """Fit both scalers."""
        self.source_, self.target_ = StandardScaler().fit(X), StandardScaler().fit(X_target)
        return self

    def transform(self, X):
        """Images of the rows."""
        return self.target_.inverse_transform(self.source_.transform(X))


W2 = W2Transport(max_iter=300, random_state=0)
OURS = {"Gaussian": GaussianTransport(), "label-aware": LabelAwareTransport()}
PEERS = {
    "EMDTransport (POT)": Peer("EMDTransport"),
    "SinkhornLpl1Transport (POT)": Peer("SinkhornLpl1Transport", 0.01),
    "scaler per domain": Scalers(),
}


def methods_of(table):
    """Adapters by name; the function of each makes it from a fitted feature extractor or None."""
    adapters = {name: DomainAdapter(transport, KNN) for name, transport in {"none": None, **OURS, **PEERS}.items()}
    if table == "digits":
        adapters["W2"] = DomainAdapter(W2, KNN)
        adapters["chosen"] = DomainAdapterCV([*OURS.values(), W2], KNN)
        adapters["fine-tuned"] = DomainAdapter(LabelAwareTransport(), KNN, fine_tune=3)
        return adapters
    for name, transport in OURS.items():
        adapters[f"{name}, estimate"] = DomainAdapter(transport, KNN, proportions="estimate")
    adapters["chosen"] = DomainAdapterCV([*OURS.values()], KNN, proportions=("source", "estimate"))
    return adapters


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
    """Measure each method on each problem, and store its row."""
    for problem in arguments.problems:
        table = "digits" if problem in DIRECTIONS else "tables"
        if table not in arguments.tables:
            continue
        for seed in arguments.seeds:
            data = load_direction(problem, seed) if table == "digits" else load_halves(problem, seed)
            extractor, clock = None, Clock()
            if table == "digits":
                network = Convolutional(activation="relu")
                extractor = ClassifierFeatures(network, random_state=seed).fit(data[0], data[1])
            spent, baseline = clock.seconds(), ""
            for method, adapter in methods_of(table).items():
                if method != "none" and method not in arguments.methods:
                    continue
                cell = guarded(evaluate, adapter, data, extractor, spent)
                if method == "none":
                    baseline = cell["accuracy"]
                    cell |= {name: round(value, 4) for name, value in spent.items()}
                key = {"table": table, "problem": problem, "seed": seed, "method": method}
                results.store({**key, **cell, "none": baseline})


def report(results):
    """Print and write the summaries of both tables."""
    for table, summarise in {"digits": summary_of_digits, "tables": summary_of_tables}.items():
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
        if row["method"] not in (*PEERS, "chosen"):
            key = row["problem"], row["seed"]
            best[key] = max(best.get(key, -np.inf), 100 * (float(row["accuracy"]) - float(row["none"])))
    return [*lines, ("best of ours, by labels", *[""] * len(SHIFTS), f"{np.mean(list(best.values())):+.2f}", "")]


def main(argv=None):
    names = list(dict.fromkeys([*methods_of("digits"), *methods_of("tables")]))
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=("digits", "tables"), default=("digits", "tables"))
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
