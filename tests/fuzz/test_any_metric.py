"""Every metric on any table: finite numbers or one error that names the input; symmetry, copies, and order of rows."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_ot import metrics
from tests.fuzz.cases import FAR_SCALES, FAR_SINGLE_SCALES, SCALES, SINGLE_SCALES, cases_of, in_time, long, quick

# No metric warns.
pytestmark = pytest.mark.filterwarnings("error")


def mode_coverage(X, Y):
    # Each mode has a few different rows of the sample around it.
    modes = np.unique(np.asarray(Y, dtype=np.float64), axis=0)[::5]
    return metrics.mode_coverage(X, modes, std=np.abs(modes).max() / 10 or 1.0)


DISTANCES = {
    "wasserstein": metrics.wasserstein_distance,
    "wasserstein-1": lambda X, Y: metrics.wasserstein_distance(X, Y, p=1),
    "sliced": lambda X, Y: metrics.sliced_wasserstein_distance(X, Y, n_projections=8, random_state=0),
    "energy": metrics.energy_distance,
    "frechet": metrics.frechet_distance,
}
MEASURES = {
    "quality": lambda X, Y: metrics.sample_quality(X, Y, n_neighbors=1),
    "copying": lambda X, Y: metrics.copying(X, Y, Y)[:2],
    "modes": mode_coverage,
}
# Those of two arrays of matching rows.
ERRORS = {
    "uvp": metrics.l2_uvp,
    "cosine": lambda X, Y: metrics.map_cosine(Y, X, np.zeros(np.shape(X))),
}
METRICS = DISTANCES | MEASURES | ERRORS
# Results for a copy of the second sample, which as a map moves no row.
COPIES = dict.fromkeys([*DISTANCES, *ERRORS], 0) | {"quality": (1, 1, 1, 1), "copying": (0.5, 0)}
NAMES = {"X", "Y", "samples", "training", "held_out", "mapped", "true", "rows"}


def measured(name, case, X, Y):
    """The result of a metric as an array; None if it raises an error that is right."""
    try:
        result = np.array(METRICS[name](X, Y), dtype=float)
    except ValueError as error:
        # Equal rows have no variance.
        is_right = not case.is_in_range() or (name == "uvp" and len(np.unique(np.asarray(Y, float), axis=0)) == 1)
        if not is_right or NAMES.isdisjoint(re.findall(r"\w+", str(error))):
            raise
        return None
    assert np.isfinite(result).all(), result
    return result


def check(name, case):
    X, Y = case.samples()
    if name in ERRORS:
        X, Y = (rows[: min(len(X), len(Y))] for rows in (X, Y))
    with in_time():
        found = measured(name, case, X, Y)
    if name in COPIES:
        copied = measured(name, case, Y, Y)
    if found is None:
        return
    # A Fréchet distance is a square.
    # Its float is the largest one if the square overflows.
    with np.errstate(over="ignore"):
        size = np.abs(np.vstack([X, Y]).astype(float)).max() ** (2 if name == "frechet" else 1)
        size = min(size, np.finfo(float).max)
    limits = {"rtol": 1e-6, "atol": 1e-9 * (1 if name in MEASURES or name in ERRORS else size)}
    if name in COPIES and copied is not None:
        np.testing.assert_allclose(copied, np.broadcast_to(COPIES[name], copied.shape), **limits)
    if name in DISTANCES:
        np.testing.assert_allclose(measured(name, case, Y, X), found, **limits)
    rng, X, Y = np.random.RandomState(case.seed), np.array(X), np.array(Y)
    order, other = rng.permutation(len(X)), rng.permutation(len(Y))
    permuted = measured(name, case, X[order], Y[order if name in ERRORS else other])
    np.testing.assert_allclose(permuted, found, **limits)


KEYS, CASES = st.sampled_from(list(METRICS)), cases_of(SCALES, SINGLE_SCALES)
FAR_CASES = cases_of(FAR_SCALES, FAR_SINGLE_SCALES, ("float64", "float32"))


@quick(40)
@given(KEYS, CASES | FAR_CASES)
def test_any_table(name, case):
    check(name, case)


@pytest.mark.slow
@long(0.2)
@given(KEYS, CASES | FAR_CASES)
def test_any_table_long(name, case):
    check(name, case)
