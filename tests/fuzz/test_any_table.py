"""Every estimator on any table: a result that is finite, or one error that names the input, and no other warnings."""

import re
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.adaptation import DomainAdapter
from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.transport import GaussianTransport, LSOTTransport, QCTransport, SemiDiscreteTransport, W2Transport
from tests.fuzz.cases import FAR_SCALES, FAR_SINGLE_SCALES, QUICK, SCALES, SINGLE_SCALES, cases_of, long

SMALL = Dense((8,))
GAME = {"generator": SMALL, "critic": SMALL, "max_iter": 2, "batch_size": 8, "random_state": 0}
TRANSPORTS = {
    "gaussian": GaussianTransport(),
    "unshrunk": GaussianTransport(shrinkage=None),
    "semidiscrete": SemiDiscreteTransport(tol=0.5, max_samples=2000, confidence=None, random_state=0),
    "semidiscrete-p": SemiDiscreteTransport(
        cost=1.5, tol=0.5, max_samples=2000, smoothing=0.5, confidence=None, random_state=0
    ),
    "w2": W2Transport(max_iter=2, network=Convex((8,)), random_state=0),
    "w2gn": W2Transport("w2gn", max_iter=2, network=Convex((8, 8), "softplus"), early_stopping=False, random_state=0),
    "lsot": LSOTTransport(max_iter=2, network=Dense((8,), "silu"), random_state=0),
    "qc": QCTransport(max_iter=2, network=Dense((8,), "celu"), random_state=0),
}
GENERATORS = {
    "gan": GAN(**GAME),
    "fgan": FGAN(**GAME),
    "wgan": WGANGenerator(**GAME),
    "cramer": CramerGAN(**GAME),
    "mmd": MMDGAN(**GAME),
    "qc-gan": WGANQC(**GAME),
    "semidiscrete-gan": SemiDiscreteOTGenerator(
        SMALL, max_iter=1, tol=1.0, n_fit_samples=100, n_fit_steps=3, random_state=0
    ),
}
ADAPTERS = {"adapter": DomainAdapter(GaussianTransport(), KNeighborsClassifier(1))}
ESTIMATORS = TRANSPORTS | GENERATORS | ADAPTERS
# Words of which an error about an input names one.
NAMES = {"X", "X_target", "source", "target", "samples", "y", "sample_weight", "target_weight"}
# CPU-seconds that a case may take.
MAX_SECONDS = 5


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
        yield estimator.transform(X)
        yield estimator.transform(Y)
        yield estimator.score(X)
        if hasattr(estimator, "inverse_transform"):
            yield estimator.inverse_transform(Y)


def check(name, case, *, may_fail):
    """Fit an estimator to a case. An error is right if numbers are out of range; it names an input."""
    estimator = clone(ESTIMATORS[name])
    X, Y = case.samples()
    labels = np.arange(case.n_samples) % 2
    before, n_outputs = time.process_time(), 0
    with warnings.catch_warnings(record=True) as caught:
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
    seconds = time.process_time() - before
    # Warnings of the package are shown at the line of the user.
    others = [str(w.message) for w in caught if w.filename != __file__ or not issubclass(w.category, UserWarning)]
    assert not others, others
    assert seconds < MAX_SECONDS


CASES, FAR_CASES = cases_of(SCALES, SINGLE_SCALES), cases_of(FAR_SCALES, FAR_SINGLE_SCALES, ("float64", "float32"))
N_TESTS = 2 * len(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
@QUICK
@given(CASES)
def test_any_table(name, case):
    check(name, case, may_fail=False)


@pytest.mark.parametrize("name", ESTIMATORS)
@QUICK
@given(FAR_CASES)
def test_numbers_out_of_range(name, case):
    check(name, case, may_fail=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
@long(N_TESTS)
@given(CASES)
def test_any_table_long(name, case):
    check(name, case, may_fail=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
@long(N_TESTS)
@given(FAR_CASES)
def test_numbers_out_of_range_long(name, case):
    check(name, case, may_fail=True)
