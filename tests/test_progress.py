"""Progress bars: they name the estimator and the stage, show numbers of the fit, and change no result."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot import (
    Autoencoder,
    ClassifierFeatures,
    DomainAdapter,
    DomainAdapterCV,
    GaussianTransport,
    LSOTTransport,
    SemiDiscreteOTGenerator,
    SemiDiscreteTransport,
    W1Transport,
    W2Transport,
    W2TransportCV,
    WGANGenerator,
)
from sklearn_ot.networks import Convex, Dense

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = Dense((4,), "silu")
X, Y = np.random.RandomState(0).randn(40, 2), 0.5 * np.random.RandomState(1).randn(50, 2) + 1
LABELS = np.arange(40) % 2
SHORT = {"max_iter": 5, "batch_size": 16, "random_state": 0}
ROUND = {"tol": 1.0, "n_fit_samples": 64, "n_fit_steps": 5, "max_iter": 1}
W2 = W2Transport(network=Convex((4,)), plan_size=0, **SHORT)
# An estimator, the arguments of its fit, and the titles of the bars it shows.
BARS = {
    "W2": (
        W2Transport(network=Convex((4,)), plan_size=20, **SHORT),
        (X, Y),
        ["W2Transport, plan", "W2Transport, dual"],
    ),
    "LSOT": (LSOTTransport(network=SMALL, **SHORT), (X, Y), ["LSOTTransport, dual", "LSOTTransport, map"]),
    "W1": (
        W1Transport("critic", network=SMALL, confidence=None, **SHORT),
        (X, Y),
        ["W1Transport, potential", "W1Transport, rays"],
    ),
    "game": (WGANGenerator(generator=SMALL, critic=SMALL, n_critic=1, **SHORT), (X,), ["WGANGenerator"]),
    "semi-discrete": (SemiDiscreteOTGenerator(SMALL, **SHORT | ROUND), (X,), ["SemiDiscreteOTGenerator"]),
    "autoencoder": (Autoencoder(1, network=SMALL, **SHORT), (X,), ["Autoencoder"]),
    "classifier": (ClassifierFeatures(SMALL, **SHORT), (X, LABELS), ["ClassifierFeatures"]),
    "folds": (W2TransportCV(W2, regs=(0, 1), cv=2, random_state=0), (X, Y), ["W2TransportCV, folds"]),
}
# The numbers in the bars, if they are not the validation loss.
NUMBERS = {
    "game": r"score=-\d",
    "semi-discrete": r"distance=\d",
    "W1": r"dual_value=",
    "folds": r"4/4",
    "classifier": "train_loss=",
}


@pytest.mark.parametrize("name", BARS)
def test_bars_name_the_estimator_and_the_stage(name, capsys):
    estimator, arguments, titles = BARS[name]
    estimator.set_params(verbose=0).fit(*arguments)
    assert capsys.readouterr().err == ""
    estimator.set_params(verbose=1).fit(*arguments)
    shown = capsys.readouterr().err
    places = [shown.index(f"{title}: 100%") for title in titles]
    assert places == sorted(places)
    assert re.search(NUMBERS.get(name, "valid_loss="), shown)


def test_a_domain_adapter_shows_its_parts(capsys):
    adapter = DomainAdapter(GaussianTransport(), KNeighborsClassifier(3), verbose=1)
    assert adapter.fit([X, X + 1], [LABELS, LABELS], X_target=Y).predict(Y).shape == (50,)
    shown = capsys.readouterr().err
    for part in ("transport 1 of 2", "transport 2 of 2", "estimator: 100%"):
        assert f"DomainAdapter, {part}" in shown
    network = ClassifierFeatures(SMALL, **SHORT)
    adapter.set_params(feature_extractor=network, fine_tune=1).fit(X, LABELS, X_target=Y)
    shown = capsys.readouterr().err
    for part in ("feature extractor", "fine-tuning 1 of 1", "estimator: 100%"):
        assert f"DomainAdapter, {part}" in shown
    with pytest.warns(UserWarning, match="got no X_target"):
        adapter.set_params(feature_extractor=None, fine_tune=0).fit(X, LABELS)
    assert "DomainAdapter, estimator: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_a_bar_of_source_rows_changes_no_bit(n_features, capsys):
    """In one column the potential is exact, in two there is Newton's method, and in five averaged steps."""
    points = np.random.RandomState(0).randn(30, n_features)
    transport = SemiDiscreteTransport("normal", tol=0.1, random_state=0).fit(points)
    assert capsys.readouterr().err == ""
    potential = transport.potential_
    transport.set_params(verbose=1).fit(points)
    shown = capsys.readouterr().err
    assert re.search(rf"SemiDiscreteTransport, distance: .* {transport.n_samples_}/.*mass_error=\d", shown)
    assert_array_equal(transport.potential_, potential)


@pytest.mark.filterwarnings("ignore:No transport is chosen")
def test_a_choice_of_transports_shows_the_candidates(capsys):
    adapter = DomainAdapterCV([GaussianTransport()], KNeighborsClassifier(3), verbose=1).fit(X, LABELS, X_target=Y)
    assert "DomainAdapterCV, candidates: 100%" in capsys.readouterr().err
    silent = DomainAdapterCV([GaussianTransport()], KNeighborsClassifier(3)).fit(X, LABELS, X_target=Y)
    assert capsys.readouterr().err == ""
    assert_array_equal(silent.predict(Y), adapter.predict(Y))
