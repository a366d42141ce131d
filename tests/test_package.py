"""The names in the root of the package."""

import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator

import sklearn_ot

PUBLIC_PARTS = (
    sklearn_ot.transport,
    sklearn_ot.generation,
    sklearn_ot.representation,
    sklearn_ot.adaptation,
    sklearn_ot.vision,
)


def test_every_public_estimator_is_importable_from_the_root():
    public = {name: getattr(part, name) for part in PUBLIC_PARTS for name in part.__all__}
    estimators = {
        name for name, thing in public.items() if isinstance(thing, type) and issubclass(thing, BaseEstimator)
    }
    assert estimators == set(sklearn_ot.ESTIMATORS)
    for name in estimators:
        assert getattr(sklearn_ot, name) is public[name]


def test_everything_that_is_listed_is_there():
    assert set(dir(sklearn_ot)) == set(sklearn_ot.__all__)
    for name in sklearn_ot.__all__:
        assert getattr(sklearn_ot, name) is not None
    namespace = {}
    exec("from sklearn_ot import *", namespace)
    assert set(sklearn_ot.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sklearn_ot' has no attribute 'W3Transport'"):
        _ = sklearn_ot.W3Transport


def in_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_alone_loads_nothing_heavy():
    code = "import sys, sklearn_ot; print(sorted({'numpy', 'sklearn', 'torch', 'ot', 'skorch'} & set(sys.modules)))"
    assert in_new_process(code) == "[]"


def test_parts_are_reachable_after_importing_the_package():
    assert in_new_process("import sklearn_ot; print(sklearn_ot.transport.W2Transport.__name__)") == "W2Transport"
