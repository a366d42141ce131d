"""Public estimators name the folder from which they are imported as their module."""

import doctest
import importlib
import inspect
import pickle
import sys

import pytest

import sklearn_ot

ESTIMATORS = [getattr(sklearn_ot, name) for name in sklearn_ot.ESTIMATORS]


def file_of(estimator):
    """The module with the code of an estimator."""
    return sys.modules[next(member.__module__ for member in vars(estimator).values() if inspect.isfunction(member))]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_the_module_of_an_estimator_is_public(estimator):
    name = estimator.__name__
    assert estimator.__module__ == f"sklearn_ot.{sklearn_ot.ESTIMATORS[name]}"
    assert pickle.loads(pickle.dumps(estimator)) is estimator
    # Pickles of earlier versions name the file.
    assert getattr(importlib.import_module(file_of(estimator).__name__), name) is estimator


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_examples_of_methods_run(estimator):
    """pytest runs those of the classes, but does not see that their methods are in another file."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    for test in doctest.DocTestFinder(exclude_empty=True).find(estimator, estimator.__name__, file_of(estimator)):
        if test.examples and "." in test.name:
            assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0


def test_there_is_an_example_of_a_method():
    finder = doctest.DocTestFinder(exclude_empty=True)
    estimator = sklearn_ot.SemiDiscreteTransport
    names = [test.name for test in finder.find(estimator, estimator.__name__, file_of(estimator)) if test.examples]
    assert "SemiDiscreteTransport.certificate" in names
