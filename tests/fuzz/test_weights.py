"""A weight of k has the effect of k equal rows, and a weight of 0 that of no row, on any table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone

from sklearn_ot.adaptation import DomainAdapter
from tests.fuzz.cases import SCALES, SINGLE_SCALES, cases_of, in_time, long, quick
from tests.fuzz.estimators import GAUSSIAN, GENERATORS, TRANSPORTS

pytestmark = pytest.mark.filterwarnings("ignore")


class Means(BaseEstimator):
    """Predicts the mean of the training rows and labels."""

    def fit(self, X, y, sample_weight=None):
        self.mean_ = np.average(np.column_stack([X, y]), axis=0, weights=sample_weight)
        return self

    def predict(self, X):
        return np.tile(self.mean_, (len(X), 1))


class Unweighted(Means):
    """The same without weights, so that rows are repeated for it."""

    def fit(self, X, y):
        return super().fit(X, y)


ADAPTERS = {
    "adapter": DomainAdapter(GAUSSIAN["gaussian"], Means()),
    "adapter-repeats": DomainAdapter(GAUSSIAN["gaussian"], Unweighted()),
    "adapter-target": DomainAdapter(GAUSSIAN["gaussian"], Means(), align="target"),
}
# The rounding of float64, in which all other dtypes are computed, and of float32.
ROUNDINGS = np.finfo(np.float64).eps, np.finfo(np.float32).eps
ESTIMATORS = TRANSPORTS | GENERATORS | ADAPTERS
# Sums of these have another order for repeated rows; all others sort and merge their rows.
ROUNDED = [*GAUSSIAN, *ADAPTERS]


def outputs(name, X, Y, labels, rows, **weights):
    """Fit an estimator, and return what it makes of rows; the class of an error, if the rows are unusable."""
    estimator = clone(ESTIMATORS[name])
    try:
        if name in ADAPTERS:
            return [estimator.fit(X, labels, X_target=Y, **weights).predict(rows[1], domain="target")]
        if name in GENERATORS:
            estimator.fit(X, sample_weight=weights.get("sample_weight"))
            return [estimator.sample(5, random_state=0), estimator.score(rows[0])]
        # Of the source rows alone: others may vary in directions that few rows do not determine.
        return [estimator.fit(X, X_target=Y, **weights).transform(rows[0])]
    except (ValueError, TypeError) as error:
        return type(error)


def weights_of(rng, n_rows):
    """Numbers of rows, two of which are positive."""
    weight = rng.randint(4, size=n_rows)
    weight[:2] = np.maximum(weight[:2], 1)
    return weight


def check(name, case):
    X, Y = case.arrays()
    rng, labels = np.random.RandomState(case.seed), np.arange(len(X)) % 3
    v, w = weights_of(rng, len(X)), weights_of(rng, len(Y))
    with in_time():
        found = outputs(name, X, Y, labels, (X, Y), sample_weight=v, target_weight=w)
    expected = outputs(name, X.repeat(v, axis=0), Y.repeat(w, axis=0), labels.repeat(v), (X, Y))
    if isinstance(found, type):
        assert found is expected
        return
    size, rounding = np.abs(np.vstack([X, Y]).astype(float)).max(), ROUNDINGS[X.dtype == np.float32]
    for one, other in zip(found, expected, strict=True):
        # Means lose a few digits, and directions of little variance half of them and more.
        limit = 100 * rounding * size + 60 * np.sqrt(rounding) * np.ptp(other) if name in ROUNDED else 0
        np.testing.assert_allclose(one, other, rtol=0, atol=limit)


NAMES, CASES = st.sampled_from(list(ESTIMATORS)), cases_of(SCALES, SINGLE_SCALES)


@quick(10)
@given(NAMES, CASES)
def test_integer_weights_are_numbers_of_rows(name, case):
    check(name, case)


@pytest.mark.slow
@long(0.1)
@given(NAMES, CASES)
def test_integer_weights_are_numbers_of_rows_long(name, case):
    check(name, case)
