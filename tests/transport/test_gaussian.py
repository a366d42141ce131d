import pickle

import numpy as np
import ot
import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_ot.transport import GaussianTransport

N_FEATURES = 4


@pytest.fixture
def samples():
    """Two samples of different sizes and shapes."""
    rng = np.random.RandomState(0)
    Xs = rng.randn(300, N_FEATURES) @ rng.randn(N_FEATURES, N_FEATURES) + 3
    Xt = rng.standard_t(5, size=(200, N_FEATURES)) @ rng.randn(N_FEATURES, N_FEATURES) - 1
    return Xs, Xt


@pytest.fixture
def affine_pair():
    """A source and its image under a symmetric positive definite matrix and a shift: an optimal map [Brenier]."""
    rng = np.random.RandomState(0)
    root = rng.randn(N_FEATURES, N_FEATURES)
    matrix = root @ root.T + np.eye(N_FEATURES)
    Xs = rng.exponential(size=(50, N_FEATURES))
    return Xs, Xs @ matrix + 5


def test_affine_optimal_map_is_recovered_exactly(affine_pair):
    Xs, Xt = affine_pair
    transport = GaussianTransport(shrinkage=None).fit(Xs, Xt)
    # The covariances have a condition number of about 1e3, and rounding is 1e-16.
    np.testing.assert_allclose(transport.transform(Xs), Xt, rtol=1e-11)
    np.testing.assert_allclose(transport.inverse_transform(Xt), Xs, rtol=0, atol=1e-11)


def test_image_has_the_moments_of_the_target(samples):
    Xs, Xt = samples
    mapped = GaussianTransport(shrinkage=None).fit(Xs, Xt).transform(Xs)
    np.testing.assert_allclose(mapped.mean(axis=0), Xt.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(np.cov(mapped.T, bias=True), np.cov(Xt.T, bias=True), atol=1e-11)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_inverse_and_dtype(samples, dtype, atol):
    Xs, Xt = (X.astype(dtype) for X in samples)
    transport = GaussianTransport().fit(Xs, Xt)
    mapped = transport.transform(Xs)
    assert mapped.dtype == dtype
    assert transport.inverse_transform(mapped).dtype == dtype
    assert transport.potential(Xs).dtype == dtype
    # The rounding of the dtype at values of 10, times the stretch of the inverse.
    np.testing.assert_allclose(transport.inverse_transform(mapped), Xs, atol=atol)
    np.testing.assert_allclose(transport.transform(transport.inverse_transform(Xt)), Xt, atol=atol)


def test_without_a_target_the_map_whitens(samples):
    Xs, _ = samples
    transport = GaussianTransport(shrinkage=None).fit(Xs)
    mapped = transport.transform(Xs)
    np.testing.assert_allclose(mapped.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(mapped.T, bias=True), np.eye(N_FEATURES), atol=1e-11)
    assert not transport.target_mean_.any()


def test_wasserstein_distance_is_the_cost_of_the_map_and_pots_distance(samples):
    Xs, Xt = samples
    transport = GaussianTransport(shrinkage=None).fit(Xs, Xt)
    cost = np.mean(np.sum((transport.transform(Xs) - Xs) ** 2, axis=1)) ** 0.5
    assert transport.wasserstein_distance_ == pytest.approx(cost, rel=1e-12)
    covariances = np.cov(Xs.T, bias=True), np.cov(Xt.T, bias=True)
    peer = ot.gaussian.bures_wasserstein_distance(Xs.mean(axis=0), Xt.mean(axis=0), *covariances)
    assert transport.wasserstein_distance_ == pytest.approx(peer, rel=1e-10)


@pytest.mark.parametrize("ranks", [(0, 4), (4, 0), (1, 4), (2, 3), (3, 1), (0, 0)])
def test_wasserstein_distance_of_degenerate_samples(ranks):
    """The distance includes directions that no map reaches; raised variances of the source change it little."""
    rng = np.random.RandomState(0)
    Xs, Xt = (rng.randn(100, rank) @ rng.randn(rank, N_FEATURES) + rng.randn(N_FEATURES) for rank in ranks)
    # The trace of the root of the product is a sum of singular values. POT's form has roots of eigenvalues, which
    # rounding can make negative.
    centred = [X - X.mean(axis=0) for X in (Xs, Xt)]
    traces = [np.sum(X**2) / 100 for X in centred]
    overlap = np.linalg.norm(centred[0] @ centred[1].T, "nuc") / 100
    exact = np.sqrt(np.sum((Xs.mean(axis=0) - Xt.mean(axis=0)) ** 2) + sum(traces) - 2 * overlap)
    assert GaussianTransport(shrinkage=None).fit(Xs, Xt).wasserstein_distance_ == pytest.approx(exact, rel=1e-5)
    assert GaussianTransport(shrinkage=None).fit(Xs, Xs).wasserstein_distance_ < 1e-12


def test_wasserstein_distance_bounds_that_of_the_samples_from_below(samples):
    Xs, Xt = samples
    exact = np.sqrt(ot.emd2([], [], ot.dist(Xs, Xt)))
    distance = GaussianTransport(shrinkage=None).fit(Xs, Xt).wasserstein_distance_
    # Gelbrich's bound; these two samples differ mostly in their moments, so it is close.
    assert 0.7 * exact < distance < exact


def test_a_sample_is_at_distance_zero_from_itself(samples):
    Xs, _ = samples
    transport = GaussianTransport().fit(Xs, Xs)
    np.testing.assert_allclose(transport.transform(Xs), Xs, atol=1e-11)
    # The trace formula would lose half of the digits here, and give 1e-8.
    assert transport.wasserstein_distance_ < 1e-12


def test_potential_is_convex_and_its_gradient_is_the_map(samples):
    Xs, Xt = samples
    transport = GaussianTransport().fit(Xs, Xt)
    step = 1e-4 * np.eye(N_FEATURES)
    x = Xs[:1]
    # Central differences of a quadratic are exact up to rounding: 1e-16 / 1e-4 times values of 1e2.
    gradient = (transport.potential(x + step) - transport.potential(x - step)) / 2e-4
    np.testing.assert_allclose(gradient, transport.transform(x)[0], atol=1e-8)
    ends, other_ends = Xs[:150], Xs[150:]
    chord = (transport.potential(ends) + transport.potential(other_ends)) / 2
    assert np.all(transport.potential((ends + other_ends) / 2) <= chord)
    assert transport.potential(transport.source_mean_[None])[0] == 0


@pytest.mark.parametrize("shrinkage", ["auto", None, 0.1])
@pytest.mark.parametrize(("unit", "offset"), [(1e3, 0), (1e-3, 0), (1, 1e4), (1e-6, 1), (1e6, 0)])
def test_units_and_offset_change_nothing_else(samples, shrinkage, unit, offset):
    Xs, Xt = samples
    reference = GaussianTransport(shrinkage).fit(Xs, Xt)
    transport = GaussianTransport(shrinkage).fit(unit * Xs + offset, unit * Xt + offset)
    mapped = (transport.transform(unit * Xs + offset) - offset) / unit
    # An offset of 1e4 units (at most 1e6) rounds the data themselves to 1e-10.
    np.testing.assert_allclose(mapped, reference.transform(Xs), atol=1e-7)
    np.testing.assert_allclose(transport.wasserstein_distance_ / unit, reference.wasserstein_distance_, rtol=1e-8)


def test_shrinkage_serves_few_rows():
    rng = np.random.RandomState(0)
    deviations = np.geomspace(1, 3, 32)
    Xs, Xt, fresh = rng.randn(24, 32), rng.randn(24, 32) * deviations, rng.randn(1000, 32)
    errors = {
        shrinkage: np.mean((GaussianTransport(shrinkage).fit(Xs, Xt).transform(fresh) - fresh * deviations) ** 2)
        for shrinkage in ("auto", None)
    }
    # "auto" is better than the map to the mean of the target. Without shrinkage the 9 directions without variance are
    # stretched.
    assert errors["auto"] < np.mean(deviations**2)
    assert errors[None] > 100 * errors["auto"]


def test_shrinkage_hides_a_column_of_small_numbers():
    """Shrinkage changes columns with small variances, unless the columns are standardised. The true factor is 3."""
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(1000, 2) * [100, 1], rng.randn(1000, 2) * [100, 3]
    assert GaussianTransport().fit(Xs, Xt).linear_[1, 1] < 1.5
    # Four standard errors of a ratio of standard deviations, which have an error of 1 / √2000 each.
    assert GaussianTransport(shrinkage=None).fit(Xs, Xt).linear_[1, 1] == pytest.approx(3, abs=0.4)
    unit = Xs.std(axis=0)
    assert GaussianTransport().fit(Xs / unit, Xt / unit).linear_[1, 1] == pytest.approx(3, abs=0.4)


@pytest.mark.parametrize("shrinkage", ["auto", None])
def test_rank_deficient_and_constant_data_have_a_map_and_an_inverse(shrinkage):
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(40, 2) @ rng.randn(2, 6) + 1, rng.randn(30, 3) @ rng.randn(3, 6)
    Xs[:, 0], Xt[:, 0] = 7, -7
    transport = GaussianTransport(shrinkage).fit(Xs, Xt)
    mapped = transport.transform(Xs)
    np.testing.assert_allclose(mapped[:, 0], -7, atol=0.5 if shrinkage else 1e-9)
    # The inverse stretches rounding by 1e3 to 1e4.
    np.testing.assert_allclose(transport.inverse_transform(mapped), Xs, atol=1e-9)


@pytest.mark.parametrize("shrinkage", ["auto", None])
def test_equal_rows_go_to_the_mean_of_the_target(samples, shrinkage):
    _, Xt = samples
    Xs = np.full((5, N_FEATURES), 0.1)
    np.testing.assert_allclose(
        GaussianTransport(shrinkage).fit(Xs, Xt).transform(Xs), np.tile(Xt.mean(axis=0), (5, 1)), atol=1e-12
    )
    there = GaussianTransport(shrinkage).fit(Xt, Xs)
    # The target has no variance, so the images have 1e-3 of the standard deviation of the source.
    np.testing.assert_allclose(there.transform(Xt), 0.1, atol=1e-2 * Xt.std())
    np.testing.assert_allclose(there.inverse_transform(there.transform(Xt)), Xt, atol=1e-9)


@pytest.mark.parametrize("shrinkage", [-0.1, 1.5, np.nan, "ledoit"])
def test_unusable_shrinkage_is_refused(samples, shrinkage):
    with pytest.raises(InvalidParameterError, match="'shrinkage' parameter of GaussianTransport must be"):
        GaussianTransport(shrinkage).fit(*samples)


def test_pickle_clone_and_refit_give_the_same_bits(samples):
    Xs, Xt = samples
    transport = GaussianTransport(0.2).fit(Xs, Xt)
    mapped = transport.transform(Xs)
    assert np.array_equal(pickle.loads(pickle.dumps(transport)).transform(Xs), mapped)
    assert np.array_equal(clone(transport).fit(Xs, Xt).transform(Xs), mapped)
