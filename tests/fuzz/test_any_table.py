"""Every estimator on any table: a result that is finite, or one error that names the input, and no other warnings."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from sklearn.base import clone

from tests.fuzz.cases import FAR_SCALES, FAR_SINGLE_SCALES, SCALES, SINGLE_SCALES, cases_of, in_time, long, quick
from tests.fuzz.estimators import ADAPTERS, ESTIMATORS, GENERATORS, images

HERE = Path(__file__).parent
# Words of which an error about an input names one.
NAMES = {"X", "X_target", "source", "target", "samples", "y", "sample_weight", "target_weight"}


def outputs(name, estimator, X, Y, labels):
    """Fit an estimator, and yield all that it makes of its rows."""
    if name in ADAPTERS:
        yield estimator.fit(X, labels, X_target=Y).n_features_in_
        yield estimator.predict(Y)
    elif name in GENERATORS:
        yield estimator.fit(X).n_features_in_
        yield estimator.sample(5, random_state=0)
        yield estimator.score(X)
    else:
        yield estimator.fit(X, X_target=Y).n_features_in_
        yield from images(estimator, X, Y)
        yield estimator.score(X)


def check(name, case, *, may_fail):
    """Fit an estimator to a case. An error is right if numbers are out of range; it names an input."""
    estimator = clone(ESTIMATORS[name])
    X, Y = case.samples()
    labels = np.arange(case.n_samples) % 2
    n_outputs = 0
    with in_time(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for output in outputs(name, estimator, X, Y, labels):
                assert np.isfinite(output).all(), "A result is not finite."
                n_outputs += 1
        except (ValueError, TypeError) as error:
            may_fail = may_fail or not case.is_in_range()
            if not may_fail or NAMES.isdisjoint(re.findall(r"\w+", str(error))):
                raise
            assert n_outputs or not hasattr(estimator, "n_features_in_"), "The estimator is half-fitted."
    # Warnings of the package are shown at the line of the user.
    is_of_user = [Path(w.filename).parent == HERE and issubclass(w.category, UserWarning) for w in caught]
    others = [str(w.message) for w, is_right in zip(caught, is_of_user, strict=True) if not is_right]
    assert not others, others


CASES, FAR_CASES = cases_of(SCALES, SINGLE_SCALES), cases_of(FAR_SCALES, FAR_SINGLE_SCALES, ("float64", "float32"))
# Parts of all cases.
IN_RANGE, OUT_OF_RANGE = 0.3 / len(ESTIMATORS), 0.1 / len(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
@quick(3)
@given(CASES)
def test_any_table(name, case):
    check(name, case, may_fail=False)


@pytest.mark.parametrize("name", ESTIMATORS)
@quick(3)
@given(FAR_CASES)
def test_numbers_out_of_range(name, case):
    check(name, case, may_fail=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
@long(IN_RANGE)
@given(CASES)
def test_any_table_long(name, case):
    check(name, case, may_fail=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
@long(OUT_OF_RANGE)
@given(FAR_CASES)
def test_numbers_out_of_range_long(name, case):
    check(name, case, may_fail=True)
