"""Wrong input of every estimator and metric: one error that names the input, and an estimator that is as it was."""

import inspect
import re
from functools import cache

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from sklearn_ot import metrics
from sklearn_ot.adaptation import DomainAdapter, DomainAdapterCV
from sklearn_ot.generation import TableGenerator
from tests.fuzz.cases import in_time, quick
from tests.test_common import INSTANCES

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.RandomState(0)
ROWS, OTHERS = RNG.standard_normal((12, 3)), RNG.standard_normal((9, 3))
# Right arguments by their names.
RIGHT = {"y": np.arange(12) % 3, "std": 0.5, "sample_weight": np.ones(12)}
RIGHT |= dict.fromkeys(["X", "samples", "mapped", "true"], ROWS)
RIGHT |= dict.fromkeys(["Y", "X_target", "training", "held_out", "modes"], OTHERS)
RIGHT |= dict.fromkeys(["target_weight", "mode_weight"], np.ones(9))


def with_entry(entry, dtype=object):
    def change(array):
        array = array.astype(dtype)
        array.flat[4] = entry
        return array

    return change


# Faults that make rows unusable, by name.
FAULTS = {
    "NaN": with_entry(np.nan, float),
    "infinity": with_entry(-np.inf, float),
    "None": with_entry(None),
    "string": with_entry("seven"),
    "complex": lambda array: array + 1j,
    "empty": lambda array: array[:0],
    "no columns": lambda array: array[:, :0],
    "one dimension": lambda array: array[:, 0],
    "three dimensions": lambda array: array[:, :, None],
    "one number": lambda array: 7.0,
    "other columns": lambda array: array[:, :2],
    "sparse": scipy.sparse.csr_matrix,
    "lists of two lengths": lambda array: [*array.tolist()[:-1], [1.0]],
}
WEIGHT_FAULTS = {
    "NaN": with_entry(np.nan, float),
    "infinity": with_entry(np.inf, float),
    "negative": with_entry(-1.0, float),
    "zero": lambda array: 0 * array,
    "string": with_entry("seven"),
    "complex": lambda array: array + 1j,
    "empty": lambda array: array[:0],
    "too few": lambda array: array[:-1],
    "two dimensions": lambda array: array[:, None],
}
METHODS = "fit", "transform", "inverse_transform", "interpolate", "score", "predict", "potential", "dual_value"
METRICS = [name for name in metrics.__all__ if name.islower()]
# Generators of tables take missing entries and categories, and each fit may have other columns.
USUAL = {"NaN", "None", "string", "infinity"}


@cache
def fitted(number):
    """An estimator of the common checks."""
    estimator = clone(INSTANCES[number])
    seeds = {name: 0 for name in estimator.get_params() if name.split("__")[-1] == "random_state"}
    estimator.set_params(**seeds)
    return estimator.fit(**arguments(estimator.fit, estimator))


def arguments(function, estimator=None):
    """The right arguments of a function."""
    unused = () if getattr(estimator, "source", None) is None else ("y", "X_target", "target_weight")
    return {
        name: RIGHT[name] for name in inspect.signature(function).parameters if name in RIGHT and name not in unused
    }


def calls():
    """Yield the number of an estimator and a method, or None and a metric, with a wrong argument and its fault."""
    functions = [(None, name, getattr(metrics, name), None) for name in METRICS]
    for number, estimator in enumerate(INSTANCES):
        functions += [(number, name, getattr(estimator, name, None), estimator) for name in METHODS]
    for number, name, function, estimator in functions:
        for argument in arguments(function, estimator) if function else ():
            for fault in WEIGHT_FAULTS if "weight" in argument else FAULTS:
                is_table = isinstance(estimator, TableGenerator) and fault in USUAL
                is_new = name == "fit" and argument == "X" and fault == "other columns"
                # Weights of scores are those of the estimator within.
                is_inner = (
                    isinstance(estimator, DomainAdapter | DomainAdapterCV)
                    and name == "score"
                    and argument == "sample_weight"
                )
                if argument not in ("y", "std") and not (is_table or is_new or is_inner):
                    yield number, name, argument, fault


def check(call):
    """Call a function with a wrong argument."""
    number, name, argument, fault = call
    estimator = None if number is None else fitted(number)
    function = getattr(metrics if estimator is None else estimator, name)
    given = arguments(function, estimator)
    given[argument] = (WEIGHT_FAULTS if "weight" in argument else FAULTS)[fault](given[argument])
    state = {} if estimator is None else vars(estimator).copy()
    with in_time(), pytest.raises((ValueError, TypeError)) as error:
        function(**given)
    # The errors of scikit-learn about the rows of an estimator do not all name them.
    assert (estimator is not None and argument == "X") or re.search(rf"\b{argument}\b", str(error.value)), error.value
    if estimator is not None:
        assert vars(estimator).keys() == state.keys()
        assert all(vars(estimator)[key] is value for key, value in state.items())


CALLS = list(calls())


@quick(100)
@given(st.sampled_from(CALLS))
def test_wrong_input_is_named_and_changes_nothing(call):
    check(call)


@pytest.mark.slow
def test_all_wrong_input_is_named_and_changes_nothing():
    for call in CALLS:
        check(call)
