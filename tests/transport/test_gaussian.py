import pickle
import tracemalloc

import numpy as np
import ot
import pandas as pd
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
@pytest.mark.filterwarnings("ignore:The target varies where")
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
    # The map to the mean of the target has the error of the mean of the squared deviations.
    assert errors["auto"] < 0.2 * np.mean(deviations**2)
    assert errors[None] > 3 * errors["auto"]


@pytest.mark.parametrize("shrinkage", ["auto", None, 0.1])
def test_a_column_of_small_numbers_is_mapped_as_if_it_were_alone(shrinkage):
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(1000, 2) * [100, 1], rng.randn(1000, 2) * [100, 3]
    # Four standard errors of a ratio of standard deviations, which have an error of 1 / √2000 each.
    assert GaussianTransport(shrinkage).fit(Xs, Xt).linear_[1, 1] == pytest.approx(3, abs=0.4)


def one_hot_samples(n_samples):
    """A source without the third category, and a target with all three."""
    rng = np.random.RandomState(0)
    numbers = rng.randn(2, n_samples, 3) * [[[1, 1, 1]], [[2, 2, 2]]]
    shares = [0.5, 0.5, 0], [0.3, 0.3, 0.4]
    return [
        pd.DataFrame(np.hstack([rows, np.eye(3)[rng.choice(3, n_samples, p=p)]]), columns=list("uvwabc"))
        for rows, p in zip(numbers, shares, strict=True)
    ]


@pytest.mark.parametrize("shrinkage", ["auto", None])
@pytest.mark.parametrize("n_samples", [500, 50_000])
def test_a_category_that_the_source_lacks_is_stretched_by_order_one_and_named(shrinkage, n_samples):
    Xs, Xt = one_hot_samples(n_samples)
    with pytest.warns(UserWarning, match="The target varies where the source does not, in columns 'a', 'b' and 'c'"):
        transport = GaussianTransport(shrinkage).fit(Xs, Xt)
    row = Xs[:1].assign(a=0, b=0)
    moved = transport.transform(row.assign(c=1)) - transport.transform(row)
    assert np.abs(moved).max() < 3
    # The images of the source rows are those without the columns.
    rest = GaussianTransport(shrinkage).fit(Xs[list("uvw")], Xt[list("uvw")]).transform(Xs[list("uvw")])
    np.testing.assert_allclose(transport.transform(Xs)[:, :3], rest, atol=0.1 + 10 / np.sqrt(n_samples))


@pytest.mark.parametrize("n_rows", [1, 10])
def test_a_category_that_a_few_source_rows_have_is_stretched_by_order_one_and_named(n_rows):
    Xs, Xt = one_hot_samples(50_000)
    Xs.iloc[:n_rows, 3:] = [0, 0, 1]
    with pytest.warns(UserWarning, match="The target varies where the source does not, in column"):
        transport = GaussianTransport().fit(Xs, Xt)
    row = Xs[-1:].assign(a=0, b=0)
    assert np.abs(transport.transform(row.assign(c=1)) - transport.transform(row)).max() < 3
    assert np.linalg.eigvalsh(transport.linear_).max() < 4


def test_a_dead_sensor_is_named_by_its_number(samples, recwarn):
    Xs, Xt = samples
    Xs[:, 2] = 7 + 1e-9 * Xs[:, 2]
    with pytest.warns(UserWarning, match="varies where the source does not, in column 2, or does"):
        transport = GaussianTransport().fit(Xs, Xt)
    typical = np.median(Xt.std(axis=0)[[0, 1, 3]] / Xs.std(axis=0)[[0, 1, 3]])
    assert transport.linear_[2, 2] == pytest.approx(typical, rel=0.5)
    # A column that only the target lacks, and one that both lack, are no reason for a warning.
    Xt[:, 2], Xs[:, 3], Xt[:, 3] = 1, 5, 5
    recwarn.clear()
    GaussianTransport().fit(Xs, Xt)
    assert not recwarn.list


@pytest.mark.parametrize("shrinkage", ["auto", None])
@pytest.mark.filterwarnings("ignore:The target varies where")
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
@pytest.mark.filterwarnings("ignore:The target varies where")
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


@pytest.mark.parametrize(("unit", "target_unit"), [(1e160, 1e160), (1e-160, 1e160), (1e300, 1), (1e-300, 1e-300)])
def test_numbers_with_squares_beyond_floats_are_mapped(samples, unit, target_unit):
    Xs, Xt = samples
    expected = GaussianTransport().fit(Xs, Xt).transform(Xs)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        transport = GaussianTransport().fit(unit * Xs, target_unit * Xt)
        mapped = transport.transform(unit * Xs)
        np.testing.assert_allclose(mapped / target_unit, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(transport.inverse_transform(mapped) / unit, Xs, rtol=1e-8, atol=1e-8)
    assert np.isfinite(transport.wasserstein_distance_)


def test_float32_rows_of_any_size_are_mapped(samples):
    Xs, Xt = (rows.astype(np.float32) for rows in samples)
    expected = GaussianTransport().fit(Xs, Xt).transform(Xs)
    unit = np.float32(1e30)
    np.testing.assert_allclose(
        GaussianTransport().fit(unit * Xs, unit * Xt).transform(unit * Xs) / unit, expected, rtol=1e-3
    )


def test_a_constant_source_is_moved_to_a_far_target(samples):
    _, Xt = samples
    Xs = np.full((5, N_FEATURES), 0.1)
    with pytest.warns(UserWarning, match="in columns 0, 1, 2 and 3"):
        transport = GaussianTransport().fit(Xs, 1e190 * Xt + 1e200)
    np.testing.assert_allclose(transport.transform(Xs), 1e200)
    assert transport.wasserstein_distance_ == pytest.approx(2e200)


def test_maps_take_little_memory_beyond_rows_and_images():
    X = np.random.RandomState(0).randn(200_000, 64)
    transport = GaussianTransport().fit(X[:1000], 2 * X[1000:2000])
    for method in (transport.transform, transport.inverse_transform):
        tracemalloc.start()
        try:
            method(X)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # The images, and 64 MiB.
        assert peak < X.nbytes + 2**26


def test_integer_weights_are_numbers_of_equal_rows(samples):
    Xs, Xt = samples
    rng = np.random.RandomState(0)
    weight, target_weight = rng.randint(0, 4, len(Xs)), rng.randint(0, 4, len(Xt))
    weighted = GaussianTransport().fit(Xs, Xt, sample_weight=weight, target_weight=target_weight)
    repeated = GaussianTransport().fit(np.repeat(Xs, weight, axis=0), np.repeat(Xt, target_weight, axis=0))
    np.testing.assert_allclose(weighted.linear_, repeated.linear_, atol=1e-10)
    np.testing.assert_allclose(weighted.transform(Xs), repeated.transform(Xs), atol=1e-10)
