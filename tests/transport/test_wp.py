"""WpTransport; test_neural.py has the properties of all transports with networks."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import special
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.datasets import make_wp_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.networks import Convex
from sklearn_ot.transport import W2Transport, WpTransport

SHORT = {"network": Convex((32,)), "max_iter": 200, "batch_size": 64, "random_state": 0}


def short_fit(Xs, Xt, p=3, cls=WpTransport, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        arguments = {} if cls is W2Transport else {"p": p}
        return cls(**{**SHORT, **arguments, **parameters}).fit(Xs, Xt)


@pytest.fixture(scope="module", params=[1.5, 3], ids=["p=1.5", "p=3"])
def known(request):
    """A pair with a known map that is not that of the squared cost, and a map from it."""
    pair = make_wp_pair(2, 4000, p=request.param, random_state=0)
    return pair, request.param, short_fit(pair.source, pair.target, request.param)


def test_known_map(known):
    """The map of the squared cost has an error of 32 or 30 %."""
    pair, _, transport = known
    X, Y = pair.sample_source(2000, 1), pair.sample_target(2000, 1)
    assert l2_uvp(transport.transform(X), Y) < 1
    assert l2_uvp(transport.inverse_transform(Y), X) < 1
    squared = short_fit(pair.source, pair.target, cls=W2Transport, plan_size=0)
    assert l2_uvp(squared.transform(X), Y) > 20
    assert not transport.is_start_


def test_known_distance_and_potential(known):
    pair, _, transport = known
    X = pair.sample_source(2000, 1)
    # The standard error of the distance between samples of 4000 rows is about half a per cent.
    assert transport.distance_ == pytest.approx(pair.distance()[0], rel=0.02)
    difference = transport.potential(X) - pair.potential(X)
    assert np.std(difference) < 0.01 * np.std(pair.potential(X))


def test_dual_value_is_below_the_true_one(known):
    """It is nearly as large, because the excess of the dual is of the order of the squared error of the map."""
    pair, p, transport = known
    X, Y = pair.sample_source(2000, 1), pair.sample_target(2000, 2)
    true = pair.potential(X).mean() + pair.target_potential(Y).mean()
    value = transport.dual_value(X, Y)
    # The differences of both potentials to the true ones at these rows have standard errors, too.
    assert 0.99 * true < value < 1.005 * true
    squares = short_fit(pair.source, pair.target, p, max_iter=0)
    assert squares.dual_value(X, Y) < value


def test_potentials_are_below_the_cost(known):
    pair, p, transport = known
    X, Y = pair.sample_source(300, 1), pair.sample_target(300, 1)
    terms = transport.potentials_.dual_terms(X, Y)
    costs = np.linalg.norm(X[:, None] - Y, axis=2) ** p
    assert (terms.source[:, None] + terms.target <= costs + 1e-3 * costs.mean()).all()
    assert (terms.source + terms.target > np.diag(costs) - 0.02 * costs.mean()).mean() > 0.9
    np.testing.assert_allclose(terms.preimages, transport.inverse_transform(Y), atol=1e-3 * np.abs(X).max())


def test_transform_and_inverse_undo_each_other(known):
    pair, _, transport = known
    X = pair.sample_source(500, 1)
    back, residual = transport.inverse_transform(transport.transform(X), return_residual=True)
    # The search ends at a residual of 1e-4 in balanced coordinates.
    assert np.abs(back - X).max() < 1e-2 * X.std()
    assert residual.max() < 1e-2 * pair.target.std()


def test_both_directions(known):
    """The same potential is that of the narrow sample, in any order of the samples."""
    pair, p, transport = known
    other = short_fit(pair.target, pair.source, p)
    assert transport.metric_.is_reversed
    assert not other.metric_.is_reversed
    X = pair.sample_source(2000, 1)
    assert l2_uvp(other.inverse_transform(X), pair.transport(X)) < 1
    assert other.distance_ == pytest.approx(transport.distance_, rel=0.01)


@pytest.mark.parametrize("p", [1.2, 4, 8])
@pytest.mark.parametrize("wide", [False, True])
def test_one_feature(p, wide):
    """All powers have the same map, which keeps the order of the rows."""
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(2000, 1), 5 + (3 if wide else 0.3) * rng.uniform(-1, 1, (2000, 1))
    transport = short_fit(Xs, Xt, p)
    x = np.linspace(-1.5, 1.5, 50)[:, None]
    true = 5 + (3 if wide else 0.3) * special.erf(x / np.sqrt(2))
    # The standard error of a quantile of 2000 rows is up to 2 % of the deviation in both samples.
    assert np.abs(transport.transform(x) - true).max() < 0.12 * Xt.std()


@pytest.mark.parametrize("p", [1.2, 3, 8])
def test_shift(p):
    """A shift is optimal for all powers, and the potential of the start is its own."""
    X = np.random.RandomState(0).randn(1000, 3)
    Y = X + np.array([3.0, 0, 4])
    transport = short_fit(X, Y, p, max_iter=0)
    np.testing.assert_allclose(transport.transform(X), Y, atol=1e-4)
    assert transport.distance_ == pytest.approx(5, rel=1e-4)
    assert not transport.metric_.is_reversed


@pytest.mark.parametrize("p", [1.5, 3])
def test_constant_columns(p):
    """A constant column with a shift is a part of all steps, and its images are constant."""
    pair = make_wp_pair(2, 2000, p=p, random_state=0)
    sides = [np.insert(rows, 1, value, axis=1) for rows, value in ((pair.source, 1.0), (pair.target, 1.0))]
    transport = short_fit(*sides, p)
    X = np.insert(pair.sample_source(1000, 1), 1, 1.0, axis=1)
    images = transport.transform(X)
    np.testing.assert_allclose(images[:, 1], 1, rtol=1e-12)
    assert l2_uvp(np.delete(images, 1, axis=1), pair.sample_target(1000, 1)) < 1.5
    shifted = short_fit(sides[0], sides[1] + np.array([0, 1000.0, 0]), p)
    images = shifted.transform(X)
    np.testing.assert_allclose(images[:, 1], 1001, rtol=1e-12)
    # A long common step makes every cost nearly a square.
    squared = short_fit(*sides, cls=W2Transport, plan_size=0).transform(X)
    assert l2_uvp(np.delete(images, 1, axis=1), np.delete(squared, 1, axis=1)) < 2


def test_units_and_dtypes():
    pair = make_wp_pair(3, 2000, p=3, random_state=0)
    X, Y = pair.source, pair.target
    transport = short_fit(X, Y, max_iter=100)
    # Powers of two do not change the rounding, so neither does training.
    scaled = short_fit(2.0**40 * X, 2.0**40 * Y, max_iter=100)
    np.testing.assert_allclose(scaled.transform(2.0**40 * X[:50]) / 2.0**40, transport.transform(X[:50]), rtol=1e-9)
    assert scaled.distance_ / 2.0**40 == pytest.approx(transport.distance_, rel=1e-9)
    images = transport.transform(X[:50].astype(np.float32))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, transport.transform(X[:50]), atol=1e-3 * Y.std())


def test_the_start_is_kept_without_a_gain():
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 3), 2 * rng.randn(60, 3) + 1
    transport, start = (short_fit(X, Y, max_iter=n) for n in (100, 0))
    assert transport.is_start_
    np.testing.assert_array_equal(transport.transform(X), start.transform(X))
    assert transport.distance_ == start.distance_


def test_pickle(known):
    pair, _, transport = known
    loaded = pickle.loads(pickle.dumps(transport))
    np.testing.assert_array_equal(loaded.transform(pair.source[:100]), transport.transform(pair.source[:100]))
    np.testing.assert_array_equal(
        loaded.inverse_transform(pair.target[:100]), transport.inverse_transform(pair.target[:100])
    )


def test_without_a_target_it_is_normal():
    X = 3 + 0.5 * np.random.RandomState(0).randn(2000, 2)
    transport = short_fit(X, None)
    images = transport.transform(X)
    np.testing.assert_allclose(images.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.cov(images.T), np.eye(2), atol=0.15)


def test_certificate(known):
    pair, p, transport = known
    certificate = transport.certificate(pair.sample_source(1000, 1), pair.sample_target(1000, 2), plan_size=500)
    true = pair.distance()[0]
    distance = certificate["distance"]
    assert distance.low is None
    assert distance.high > true
    assert distance.estimate == pytest.approx(true, rel=0.03)
    images = certificate["image_distance"]
    assert images.estimate < images.high < certificate["spread"].estimate
    assert f"W{p:g}(P, Q)" in repr(certificate)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"p": 1}, "'p' parameter of WpTransport must be"),
        ({"p": 8.5}, "'p' parameter of WpTransport must be"),
        ({"conjugate_tol": 0}, "'conjugate_tol' parameter of WpTransport must be"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        WpTransport(**parameters).fit(np.eye(3), np.eye(3))
