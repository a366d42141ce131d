"""skops stores every estimator with public names only."""

import importlib

import numpy as np
import pytest
import skops.io
from sklearn.neighbors import KNeighborsClassifier
from skops.io.exceptions import UntrustedTypesFoundException

import sklearn_ot
from sklearn_ot.adaptation import DomainAdapter
from sklearn_ot.io import TRUSTED
from tests.io.cases import CASES, XT, X, Y, assert_same, described, fitted, outputs
from tests.test_pages import names_of_the_reference

IDS = [f"{number} {type(case.estimator).__name__}" for number, case in enumerate(CASES)]
# skops stores neither requests of metadata nor trees of neighbours, also not of scikit-learn's estimators on their own.
BEYOND_SKOPS = ("_metadata_request", "KNeighborsClassifier")


def is_beyond_skops(number):
    """Whether a case has a classifier or regressor that skops does not store."""
    inner = getattr(fitted(number), "estimator", None)
    return any(name in f"{inner!r} {getattr(inner, '__dict__', {})}" for name in BEYOND_SKOPS)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_every_estimator_loads_with_the_trusted_names_alone(number):
    estimator, rows = fitted(number), CASES[number].rows
    if is_beyond_skops(number):
        with pytest.raises((UntrustedTypesFoundException, RecursionError)):
            skops.io.loads(skops.io.dumps(estimator.estimator_), trusted=TRUSTED)
        return
    loaded = skops.io.loads(skops.io.dumps(estimator), trusted=TRUSTED)
    assert described(loaded) == described(estimator)
    assert_same(outputs(loaded, rows), outputs(estimator, rows))


def test_trusted_names_are_public():
    reference = names_of_the_reference()
    for name in TRUSTED:
        module, _, attribute = name.rpartition(".")
        assert not any(part.startswith("_") for part in name.split("."))
        assert getattr(importlib.import_module(module), attribute).__module__ == module
        assert name in reference
    assert {name.rpartition(".")[2] for name in TRUSTED} >= {*sklearn_ot.ESTIMATORS}


def test_every_trusted_name_is_needed():
    files = [skops.io.dumps(fitted(number)) for number in range(len(CASES)) if not is_beyond_skops(number)]
    assert {name for data in files for name in skops.io.get_untrusted_types(data=data)} == {*TRUSTED}


def test_neighbours_without_a_tree_are_stored():
    adapter = DomainAdapter(sklearn_ot.GaussianTransport(), KNeighborsClassifier(algorithm="brute")).fit(
        X, Y, X_target=XT
    )
    loaded = skops.io.loads(skops.io.dumps(adapter), trusted=TRUSTED)
    np.testing.assert_array_equal(loaded.predict(X), adapter.predict(X))
