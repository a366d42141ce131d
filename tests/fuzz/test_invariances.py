"""Maps do not depend on units, origin, order of rows and columns, rotation, precision, number of threads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.base import clone

from sklearn_ot.transport import GaussianTransport, SemiDiscreteTransport
from tests.fuzz.cases import long, tries

# Masses need not be accurate here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TRANSPORTS = {
    "gaussian": GaussianTransport(),
    "unshrunk": GaussianTransport(shrinkage=None),
    "semidiscrete": SemiDiscreteTransport(tol=0.5, max_samples=2000, confidence=None, random_state=0),
}


def shifted(rng, X, Y):
    a, b = 1000 * rng.standard_normal((2, X.shape[1]))
    return X + a, Y + b, lambda images: images - b, X + a


def scaled(rng, X, Y):
    # A power of two changes no digit, and so no tie.
    a = 2.0 ** rng.randint(-60, 60)
    return a * X, a * Y, lambda images: images / a, a * X


def permuted(rng, X, Y):
    return rng.permutation(X), rng.permutation(Y), lambda images: images, X


def with_other_columns(rng, X, Y):
    order = rng.permutation(X.shape[1])
    return X[:, order], Y[:, order], lambda images: images[:, np.argsort(order)], X[:, order]


def rotated(rng, X, Y):
    turn = ortho_group(X.shape[1]).rvs(random_state=rng) if X.shape[1] > 1 else -np.eye(1)
    return X @ turn, Y @ turn, lambda images: images @ turn.T, X @ turn


def single(rng, X, Y):
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    return X, Y, lambda images: images.astype(float), X


# For each change, the transports that are equivariant to it, and the tolerance beside the deviation of the target.
CHANGES = [
    (shifted, "gaussian", 1e-8),
    (shifted, "unshrunk", 1e-8),
    (scaled, "gaussian", 1e-8),
    (scaled, "unshrunk", 1e-8),
    (scaled, "semidiscrete", 1e-8),
    (permuted, "gaussian", 1e-8),
    (permuted, "unshrunk", 1e-8),
    (permuted, "semidiscrete", 1e-8),
    (with_other_columns, "gaussian", 1e-8),
    (with_other_columns, "unshrunk", 1e-8),
    (rotated, "unshrunk", 1e-8),
    (single, "gaussian", 1e-3),
    (single, "unshrunk", 1e-3),
]
SEEDS, WIDTHS, SIZES = st.integers(0, 2**31 - 1), st.sampled_from([1, 2, 5, 10]), st.sampled_from([60, 200])


def check(change, name, tolerance, seed, n_features, n_samples):
    """Fit a transport to two samples with correlated columns, and to the changed samples."""
    rng = np.random.RandomState(seed)
    mixed = np.eye(n_features) + 0.3 * rng.standard_normal((2, n_features, n_features))
    X, Y = rng.standard_normal((n_samples, n_features)) @ mixed[0], rng.standard_normal((50, n_features)) @ mixed[1]
    expected = clone(TRANSPORTS[name]).fit(X, Y).transform(X)
    changed_X, changed_Y, back, rows = change(rng, X, Y)
    images = back(clone(TRANSPORTS[name]).fit(changed_X, changed_Y).transform(rows))
    # Directions of little variance magnify rounding errors by the ratio of the deviations.
    stretch = np.linalg.cond(X - X.mean(axis=0))
    np.testing.assert_allclose(images, expected, rtol=0, atol=tolerance * stretch * Y.std())


@pytest.mark.parametrize(("change", "name", "tolerance"), CHANGES)
@tries(3, derandomize=True)
@given(SEEDS, WIDTHS, SIZES)
def test_maps_follow_their_samples(change, name, tolerance, seed, n_features, n_samples):
    check(change, name, tolerance, seed, n_features, n_samples)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "name", "tolerance"), CHANGES)
@long(10 * len(CHANGES))
@given(SEEDS, WIDTHS, SIZES)
def test_maps_follow_their_samples_long(change, name, tolerance, seed, n_features, n_samples):
    check(change, name, tolerance, seed, n_features, n_samples)


@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_number_of_threads_changes_little(name):
    rng = np.random.RandomState(0)
    X, Y = rng.standard_normal((200, 5)), rng.standard_normal((50, 5))
    images, n_threads = [], torch.get_num_threads()
    try:
        for number in (1, 4):
            torch.set_num_threads(number)
            images.append(clone(TRANSPORTS[name]).fit(X, Y).transform(X))
    finally:
        torch.set_num_threads(n_threads)
    # Sums in another order may send a row on the boundary of two cells to the other one.
    assert (np.abs(images[0] - images[1]).max(axis=1) < 1e-9).mean() > 0.98
