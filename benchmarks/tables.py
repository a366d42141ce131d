"""Adapters and generators on tables in any units: standardised, in raw units, and with wild cells.

    python benchmarks/tables.py                                          # everything: hours
    python benchmarks/tables.py --tables wine --methods WGANGenerator --seeds 1000
    python benchmarks/tables.py --report                                 # the summary of the results so far

Tables are wine, breast cancer and digits of scikit-learn, and ``heavy tails``: eight dependent columns, five with t
distributions of three degrees of freedom and three lognormal, with two classes. Forms of a table:

standardised
    Each column has mean 0 and variance 1.
raw
    The units of the table; those of the standardised ``heavy tails`` are multiplied by 0.001 to 10 000.
wild cells
    Standardised; then 1 % of the cells, at random, are moved by 100 to either side.

All figures are measured in units in which the clean columns have variance 1, on clean rows.

For an adapter, the rows are divided at random into a source and a target. The target is moved: a positive definite
matrix, a shift and a bend of each column, all drawn by the seed. ``accuracy`` is that of five nearest neighbours after
standardisation on the target rows, in %. ``unadapted`` is the same without a transport.

For a generator, ``spread_low`` and ``spread_high`` are the smallest and the largest ratio, over the columns, of the
standard deviation of 4000 samples to that of the table; ``correlation_error`` is the largest error of Spearman's rank
correlations of two columns, and ``correlation_error_median`` the median.

``warnings`` counts the warnings of the fit, and ``naming`` those that name a row or a column.
"""

import warnings

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklearn_ot.adaptation import DomainAdapter
from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.transport import GaussianTransport, W2Transport

RESULTS = Results(
    "tables.csv",
    key=("table", "form", "method", "seed"),
    columns=(
        "accuracy",
        "unadapted",
        "spread_low",
        "spread_high",
        "correlation_error",
        "correlation_error_median",
        "warnings",
        "naming",
        "cpu_s",
        "diverged",
        "note",
    ),
    packages=("sklearn-ot", "torch", "scikit-learn"),
)
SMALLEST = ["--tables", "wine", "--methods", "GaussianTransport", "WGANGenerator", "--rounds", "20", "--seeds", "0"]
ADAPTERS = {"GaussianTransport": GaussianTransport, "W2Transport": W2Transport}
GENERATORS = {"WGANGenerator": WGANGenerator, "SemiDiscreteOTGenerator": SemiDiscreteOTGenerator}
FORMS = ("standardised", "raw", "wild cells")
WILD_SHARE, WILD_SIZE = 0.01, 100.0
N_SAMPLES = 4000


def heavy_tails(n_rows=800, n_features=8):
    """Rows with dependent, heavy-tailed columns in very different units, and classes."""
    rng = np.random.RandomState(5)
    mixing = rng.randn(n_features, n_features) / np.sqrt(n_features) + np.eye(n_features)
    Z = rng.randn(n_rows, n_features) @ mixing.T
    y = (Z @ rng.randn(n_features) > 0).astype(int)
    X = Z / np.sqrt(rng.chisquare(3, (n_rows, 1)) / 3)
    X[:, :3] = np.exp(X[:, :3].clip(-8, 8) / 2)
    units = 10.0 ** (np.arange(n_features) - 3)
    return units * (1 + X), y


TABLES = {
    "wine": lambda: load_wine(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "heavy tails": heavy_tails,
}


def in_form(Z, form, mean, scale, rng):
    """Standardised rows in one of the forms."""
    if form == "raw":
        return mean + Z * scale
    if form == "wild cells":
        return Z + WILD_SIZE * (rng.rand(*Z.shape) < WILD_SHARE) * rng.choice([-1, 1], Z.shape)
    return Z


def moved(Z, rng):
    """Rows after a positive definite matrix, a shift and a bend of each column."""
    n_features = Z.shape[1]
    mixing = np.linalg.qr(rng.randn(n_features, n_features))[0]
    Y = Z @ (mixing * np.exp(0.4 * rng.randn(n_features))) @ mixing.T + 0.7 * rng.randn(n_features)
    return Y + 0.2 * np.arctan(Y)


def caught(fit):
    """The result of a function, and its warnings as cells of a row."""
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        result = fit()
    texts = [str(message.message) for message in messages]
    naming = sum("column" in text or "row" in text for text in texts)
    return result, {"warnings": len(texts), "naming": naming}


def adapt(Z, y, form, units, seed, transport):
    """The accuracy in the target, with and without a transport."""
    rng = np.random.RandomState(seed)
    rows = rng.permutation(len(Z))
    source, target = rows[: len(Z) // 2], rows[len(Z) // 2 :]
    clean_target = moved(Z[target], rng)
    Xs, Xt = (in_form(sample, form, *units, rng) for sample in (Z[source], clean_target))
    test = in_form(clean_target, "raw" if form == "raw" else "standardised", *units, rng)
    classifier = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    adapter, cells = caught(lambda: DomainAdapter(transport, classifier).fit(Xs, y[source], X_target=Xt))
    unadapted = classifier.fit(Xs, y[source]).score(test, y[target])
    return {"accuracy": 100 * adapter.score(test, y[target]), "unadapted": 100 * unadapted, **cells}


def generate(Z, form, units, seed, generator):
    """The spreads and rank correlations of samples."""
    X = in_form(Z, form, *units, np.random.RandomState(seed))
    _, cells = caught(lambda: generator.fit(X))
    samples = generator.sample(N_SAMPLES, random_state=seed + 500)
    if form == "raw":
        samples = (samples - units[0]) / units[1]
    spread = samples.std(axis=0) / Z.std(axis=0)
    errors = np.abs(stats.spearmanr(samples).statistic - stats.spearmanr(Z).statistic)
    errors = errors[np.triu_indices(len(errors), 1)]
    correlations = {"correlation_error": errors.max(), "correlation_error_median": np.median(errors)}
    return {"spread_low": spread.min(), "spread_high": spread.max(), **correlations, **cells}


def run_cell(table, form, method, seed, n_rounds):
    X, y = TABLES[table]()
    X = X[:, X.std(axis=0) > 0].astype(np.float64)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    Z, clock = (X - mean) / scale, Clock()
    options = {"random_state": seed, "device": "cpu"}
    if method == "GaussianTransport":
        cell = adapt(Z, y, form, (mean, scale), seed, GaussianTransport())
    elif method in ADAPTERS:
        cell = adapt(Z, y, form, (mean, scale), seed, ADAPTERS[method](**options))
    else:
        rounds = {} if n_rounds is None else {"max_iter": n_rounds}
        cell = generate(Z, form, (mean, scale), seed, GENERATORS[method](**rounds, **options))
    return {**cell, "cpu_s": clock()}


def measure(arguments, results):
    """Measure each cell, and store its row."""
    for seed in arguments.seeds:
        for table in arguments.tables:
            for method in arguments.methods:
                for form in FORMS:
                    with threadpool_limits(1):
                        cell = guarded(run_cell, table, form, method, seed, arguments.rounds)
                    results.store({"table": table, "form": form, "method": method, "seed": seed, **cell})


def report(results):
    """Print the summaries: one of the adapters and one of the generators."""
    by = {"table": "table", "method": "method", "form": "form"}
    columns = {"accuracy": "accuracy, %", "unadapted": "without transport, %", "naming": "warnings"}
    results.summarise("tables_adapters.csv", by, columns, lambda row: row["method"] in ADAPTERS)
    columns = {
        "spread_low": "smallest spread",
        "spread_high": "largest spread",
        "correlation_error": "largest error of a rank correlation",
        "correlation_error_median": "median error",
        "naming": "warnings",
    }
    results.summarise("tables_generators.csv", by, columns, lambda row: row["method"] in GENERATORS)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=tuple(TABLES))
    parser.add_argument("--methods", nargs="+", choices=(*ADAPTERS, *GENERATORS), default=(*ADAPTERS, *GENERATORS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rounds", type=int, help="number of rounds of a generator, its default if none")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()
