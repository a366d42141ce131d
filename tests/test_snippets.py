"""The snippets of the documentation: as they are on the page, and as a user would type them with each transport."""

import ast
import builtins
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_ot
from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.generation import SemiDiscreteOTGenerator, W2Generator, WGANGenerator
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.representation import Autoencoder, GenerativePipeline
from sklearn_ot.transport import (
    GaussianTransport,
    LSOTTransport,
    QCTransport,
    SemiDiscreteTransport,
    W1Transport,
    W2Transport,
    WpTransport,
)

ROOT = Path(__file__).parents[1]
PASTED = ["README.md", "doc/quickstart.rst"]

# A transport, the parameter to search over, its values (the right one first: the others move the domains less well).
W2 = W2Transport(max_iter=100, network=Convex((16,)), random_state=0)
LSOT = LSOTTransport(max_iter=100, network=Dense((16,), "silu"), random_state=0)
QC = QCTransport(max_iter=50, network=Dense((16,), "silu"), batch_size=32, random_state=0)
TRANSPORTS = [
    pytest.param(GaussianTransport(), "shrinkage", ["auto", 1.0], id="GaussianTransport"),
    pytest.param(W2, "shrinkage", ["auto", 1.0], id="W2Transport"),
    pytest.param(LSOT, "shrinkage", ["auto", 1.0], id="LSOTTransport"),
    pytest.param(QC, "shrinkage", ["auto", 1.0], id="QCTransport"),
]

pytestmark = [
    pytest.mark.filterwarnings("error::sklearn_ot.exceptions.MissingTargetWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def make_domains():
    """Labelled source rows, sorted by class, and target rows of the same distribution, shifted and stretched."""
    rng = np.random.RandomState(0)
    ys, yt = np.repeat([0, 1], 60), np.repeat([0, 1], 50)
    Xs, Xt = (0.3 * rng.randn(len(y), 2) + np.c_[1.5 * y, 1.5 * y] for y in (ys, yt))
    return Xs, ys, Xt @ [[2.0, -0.8], [-0.8, 1.0]] + [6, -3], yt


Xs, ys, Xt, yt = make_domains()
cv = KFold(5, shuffle=True, random_state=0)

over_transports = pytest.mark.parametrize(("transport", "parameter", "values"), TRANSPORTS)


def test_no_adaptation_fails_here():
    assert KNeighborsClassifier(1).fit(Xs, ys).score(Xt, yt) < 0.6


@over_transports
def test_a_map(transport, parameter, values):
    Z = transport.fit(Xs, Xt).transform(Xs)
    assert Z.shape == Xs.shape
    # Closer to the mean of the target than a tenth of the way there.
    assert np.linalg.norm(Z.mean(axis=0) - Xt.mean(axis=0)) < 0.1 * np.linalg.norm(Xs.mean(axis=0) - Xt.mean(axis=0))


@over_transports
@pytest.mark.parametrize("align", ["source", "target"])
def test_domain_adaptation(transport, parameter, values, align):
    clf = DomainAdapter(transport, make_pipeline(StandardScaler(), KNeighborsClassifier(1)), align)
    assert np.mean(clf.fit(Xs, ys, X_target=Xt).predict(Xt) == yt) > 0.95


@over_transports
def test_a_scaler_in_front(transport, parameter, values):
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(
            StandardScaler(), DomainAdapter(transport, KNeighborsClassifier(1)), transform_input=["X_target"]
        )
        assert np.mean(pipe.fit(Xs, ys, X_target=Xt).predict(Xt) == yt) > 0.95
        # The adapter saw the target in the units of the scaler.
        np.testing.assert_allclose(pipe[-1].target_reference_, pipe[0].transform(Xt))


@over_transports
@pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
def test_search_over_a_transport(transport, parameter, values, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(transport, {parameter: values}, cv=cv, error_score="raise").fit(Xs, X_target=Xt)
    assert search.best_params_ == {parameter: values[0]}


@over_transports
@pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
@pytest.mark.parametrize("align", ["source", "target"])
def test_search_over_an_adapter(transport, parameter, values, align, routing):
    clf = DomainAdapter(transport, KNeighborsClassifier(1), align)
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            clf,
            {f"transport__{parameter}": values},
            cv=cv,
            refit="match",
            scoring={"match": transport_match, "acc": transported_source_accuracy},
            error_score="raise",
        ).fit(Xs, ys, X_target=Xt)
    assert search.best_params_ == {f"transport__{parameter}": values[0]}
    assert search.cv_results_["mean_test_acc"].min() > 0.9
    assert np.mean(search.predict(Xt) == yt) > 0.95


def test_search_over_lambda():
    transport = W2Transport(max_iter=5, plan_size=0, network=Convex((16,)), random_state=0)
    search = GridSearchCV(transport, {"reg": [0, 0.1]}, cv=cv, error_score="raise").fit(Xs, X_target=Xt)
    assert search.best_params_["reg"] in [0, 0.1]
    clf = DomainAdapter(transport, make_pipeline(StandardScaler(), KNeighborsClassifier(1)))
    search = GridSearchCV(
        clf,
        {"transport__reg": [0, 0.1]},
        cv=cv,
        refit="match",
        scoring={"match": transport_match, "acc": transported_source_accuracy},
        error_score="raise",
    ).fit(Xs, ys, X_target=Xt)
    assert search.best_params_["transport__reg"] in [0, 0.1]
    assert np.mean(search.predict(Xt) == yt) > 0.95


def test_semidiscrete_transport():
    transport = SemiDiscreteTransport("normal", tol=0.2, random_state=0).fit(Xt)
    lower, upper = transport.distance_interval_
    assert lower < transport.distance_ < upper
    assert {tuple(row) for row in transport.transform(np.random.RandomState(0).randn(2000, 2))} == set(map(tuple, Xt))


def test_w1_transport():
    transport = W1Transport().fit(Xs, Xt)
    lower, upper = transport.distance_interval_
    assert lower < transport.distance_ < upper
    # Rows are moved down the potential.
    images = transport.transform(Xs)
    assert np.mean(transport.potential(Xs) - transport.potential(images)) > 0.9 * transport.distance_
    # Rows are moved by about 7; the flow of so few rows is not smooth.
    assert np.sqrt(np.mean((transport.inverse_transform(images) - Xs) ** 2)) < 0.1


def test_wp_transport():
    transport = WpTransport(1.5, max_iter=100, batch_size=64, network=Convex((16,)), random_state=0)
    Z = transport.fit(Xs, Xt).transform(Xs)
    # A shift by about 7, and the images are distributed as the target.
    assert transport.score(Xs) > -0.05 * np.mean((Z - Xs) ** 2)
    assert np.mean((transport.inverse_transform(Z) - Xs) ** 2) < 0.01 * np.mean((Z - Xs) ** 2)


def test_generators():
    generator = SemiDiscreteOTGenerator(
        Dense((16,)), max_iter=1, n_fit_samples=1000, n_fit_steps=300, random_state=0
    ).fit(Xs)
    assert generator.sample(100).shape == (100, 2)
    small = {"generator": Dense((16,)), "critic": Dense((16,)), "random_state": 0}
    samples = WGANGenerator(max_iter=500, **small).fit(Xs, ys).sample(100, random_state=0, y=1)
    # Nearer to the rows of this class than to the others.
    assert np.linalg.norm(samples.mean(axis=0) - 1.5) < np.linalg.norm(samples.mean(axis=0))
    search = GridSearchCV(WGANGenerator(max_iter=10, **small), {"reg": [0.1, 1, 10]}, cv=cv, error_score="raise")
    assert search.fit(Xs).best_params_["reg"] in [0.1, 1, 10]


def test_generation_in_the_space_of_codes():
    """Twenty columns with two degrees of freedom."""
    X = np.tanh(np.random.RandomState(0).randn(500, 2) @ np.random.RandomState(1).randn(2, 20)) * 100
    pipe = GenerativePipeline(
        [
            ("scale", StandardScaler()),
            ("ae", Autoencoder(16, max_iter=200, random_state=0)),
            ("gen", W2Generator(transport=W2, random_state=0)),
        ]
    )
    assert pipe.fit(X).sample(5).shape == (5, 20)
    # The columns have variances of 1 in the units of the score.
    assert pipe.score(X) > -0.1
    noise = pipe.encode_noise(X)
    assert noise.shape == (500, 16)
    search = GridSearchCV(
        pipe, {"ae__latent_dim": [1, 16], "gen__transport__max_iter": [10]}, cv=cv, error_score="raise"
    )
    assert search.fit(X).best_params_["ae__latent_dim"] == 16


def snippets(page):
    """The blocks of Python of a page, one after another."""
    fence = r"```python\n((?:.*\n)*?)```" if page.endswith(".md") else r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)"
    return "\n".join(map(dedent, re.findall(fence, (ROOT / page).read_text(encoding="utf-8"))))


def unknown_names(code):
    """Names that the code reads and that stand nowhere before."""
    known, unknown = set(dir(builtins)), set()
    for statement in ast.parse(code).body:
        nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        # Names of a function, a loop or a comprehension are known inside it.
        inside = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        inside |= {node.arg for node in ast.walk(statement) if isinstance(node, ast.arg)}
        is_block = isinstance(statement, ast.With | ast.For | ast.FunctionDef) or any(
            isinstance(node, ast.comprehension) for node in ast.walk(statement)
        )
        unknown |= (
            {node.id for node in nodes if isinstance(node.ctx, ast.Load)} - known - (inside if is_block else set())
        )
        known |= inside | {getattr(statement, "name", "")}
        known |= {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(statement)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
    return unknown


@pytest.mark.parametrize("page", PASTED)
def test_snippets_of_a_page_use_names_of_the_page(page):
    assert unknown_names(snippets(page)) == set()


def test_a_name_that_stands_nowhere_is_found():
    assert unknown_names("import numpy as np\nZ = np.ones(3)\nT.fit(Z, [k for k in Xt])\nXt = Z") == {"T", "Xt"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_quick_start_runs_and_its_adapter_gains(monkeypatch):
    """With fits of two steps; the adapter has the closed form, which undoes the matrix of the second device."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for name in ("W2Transport", "W2Generator"):
        defaults = getattr(sklearn_ot, name).__init__.__kwdefaults__
        for parameter in {"max_iter", "plan_size"} & set(defaults):
            monkeypatch.setitem(defaults, parameter, 2)
    names = {}
    exec(snippets("doc/quickstart.rst"), names)
    accuracies = [np.mean(names[name].predict(names["Xt"]) == names["yt"]) for name in ("alone", "adapter")]
    assert accuracies[0] < 0.8
    assert accuracies[1] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("page", PASTED)
def test_snippets_of_a_page_run_as_they_are(page, tmp_path):
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", snippets(page)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
