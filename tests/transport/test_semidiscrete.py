import pickle

import numpy as np
import ot
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from sklearn_ot.datasets import make_toy
from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.solvers.sources import normal
from sklearn_ot.transport import SemiDiscreteTransport

MIXED = np.concatenate([np.random.RandomState(0).randn(100, 2) + 3, np.random.RandomState(1).randn(50, 2)])


@pytest.fixture(autouse=True)
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture(scope="module")
def points():
    return make_toy("moons", 60, random_state=0)


@pytest.fixture(scope="module")
def fitted(points):
    return SemiDiscreteTransport("normal", tol=0.05, random_state=0).fit(points)


def test_cells_are_as_heavy_as_the_points(fitted, points, rng):
    index = fitted.assign(rng.standard_normal((50_000, 2)))
    masses = np.bincount(index, minlength=60) / 50_000
    # The tolerance is 5 %, its uncertainty, and 3.5 % from these rows.
    assert np.sqrt(np.mean((60 * masses - 1) ** 2)) < 0.08
    assert fitted.mass_error_ < 0.05
    assert fitted.empty_cells_ == 0
    np.testing.assert_array_equal(fitted.points_, points)


@pytest.mark.parametrize(("source", "distribution"), [("normal", stats.norm), ("uniform", stats.uniform)])
def test_a_named_source_on_a_line_is_exact(rng, source, distribution):
    y = np.sort(rng.standard_normal(40))
    transport = SemiDiscreteTransport(source, random_state=0).fit(y[:, None])
    # |x - y₀|² - ψ₀ = |x - y₁|² - ψ₁
    ends = np.diff(y**2 - transport.potential_) / np.diff(2 * y)
    np.testing.assert_allclose(ends, distribution.ppf(np.arange(1, 40) / 40), rtol=0, atol=1e-9)
    assert transport.n_samples_ == 0


def test_transform_is_the_assigned_point_and_cheaper_than_any_other(fitted, points, rng):
    X = rng.standard_normal((200, 2))
    index = fitted.assign(X)
    np.testing.assert_array_equal(fitted.transform(X), points[index])
    reduced = ((X[:, None] - points) ** 2).sum(2) - fitted.potential_
    np.testing.assert_array_equal(index, reduced.argmin(1))
    assert fitted.target_weight_ @ fitted.potential_ == pytest.approx(0, abs=1e-10)


def test_distance_is_that_of_a_large_sample(fitted, points, rng):
    X = rng.standard_normal((3000, 2))
    exact = wasserstein_distance(X, points)
    low, high = fitted.distance_interval_
    assert low <= fitted.distance_ <= high
    # The sample of 3000 rows has an error of about 2 %.
    assert fitted.distance_ == pytest.approx(exact, rel=0.04)
    assert low - 0.03 < exact < high + 0.03


@pytest.mark.parametrize(("cost", "p"), [("sqeuclidean", 2), ("euclidean", 1), (3.0, 3), (3, 3)])
def test_distance_has_the_units_of_the_data(rng, cost, p):
    Y = rng.standard_normal((20, 5))
    first, scaled = (
        SemiDiscreteTransport(lambda n, g, s=s: s * g.standard_normal((n, 5)), cost=cost, tol=0.1, random_state=0).fit(
            s * Y
        )
        for s in (1, 1000)
    )
    assert scaled.distance_ == pytest.approx(1000 * first.distance_, rel=1e-4)
    np.testing.assert_allclose(scaled.potential_, 1000**p * first.potential_, atol=1e-3 * 1000**p)
    np.testing.assert_allclose(scaled.distance_interval_, 1000 * first.distance_interval_, rtol=1e-3)
    exact = wasserstein_distance(rng.standard_normal((2000, 5)), Y, p=p)
    assert first.distance_ == pytest.approx(exact, rel=0.05)


def test_two_samples_agree_with_the_exact_plan(rng):
    Xs, Xt = rng.standard_normal((1500, 3)), 0.5 * rng.standard_normal((30, 3)) + 2
    weight = rng.random_sample(30) + 0.2
    transport = SemiDiscreteTransport(random_state=0).fit(Xs, Xt, target_weight=weight)
    exact = wasserstein_distance(Xs, Xt, target_weight=weight)
    assert transport.distance_ == pytest.approx(exact, rel=0.01)
    masses = np.bincount(transport.assign(Xs), minlength=30) / 1500
    assert np.sqrt(np.mean((masses / (weight / weight.sum()) - 1) ** 2)) < 0.12
    # Few rows are sent to another point than in the exact plan: those next to a boundary.
    plan = ot.emd(np.full(1500, 1 / 1500), weight / weight.sum(), ot.dist(Xs, Xt))
    assert plan[np.arange(1500), transport.assign(Xs)].sum() > 0.95


def test_the_three_ways_to_give_a_target_are_one(rng):
    Xs, Xt = rng.standard_normal((300, 2)), rng.standard_normal((20, 2))
    make = SemiDiscreteTransport(random_state=0, tol=0.2).fit
    by_name, by_position = make(Xs, X_target=Xt).potential_, SemiDiscreteTransport(random_state=0, tol=0.2).fit(Xs, Xt)
    np.testing.assert_array_equal(by_name, by_position.potential_)


def test_without_a_target_the_points_are_normal(rng):
    transport = SemiDiscreteTransport(random_state=0, tol=0.3).fit(5 + 3 * rng.random_sample((300, 2)))
    assert transport.points_.shape == (300, 2)
    assert stats.kstest(transport.points_.ravel(), "norm").pvalue > 1e-3


def test_points_of_weight_zero_are_gone(rng):
    Y = rng.standard_normal((10, 2))
    weight = np.r_[0.0, np.full(9, 2.0)]
    transport = SemiDiscreteTransport("normal", tol=0.1, random_state=0).fit(Y, target_weight=weight)
    np.testing.assert_array_equal(transport.points_, Y[1:])
    np.testing.assert_allclose(transport.target_weight_, 1 / 9)


@pytest.mark.parametrize("source", [None, "normal"])
@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_integer_weights_are_equal_rows_in_any_order(source, n_features, smoothing, rng):
    X, Y = rng.standard_normal((40, n_features)), rng.standard_normal((12, n_features)) + 1
    counts, target_counts = rng.randint(0, 5, 40), rng.randint(0, 4, 12)
    repeated, points = rng.permutation(X.repeat(counts, axis=0)), rng.permutation(Y.repeat(target_counts, axis=0))
    make = SemiDiscreteTransport(source, tol=0.3, smoothing=smoothing, random_state=0, confidence=None)
    if source is None:
        weighted = clone(make).fit(X, Y, sample_weight=counts, target_weight=target_counts)
        again = clone(make).fit(repeated, points)
    else:
        weighted, again = clone(make).fit(Y, sample_weight=target_counts), clone(make).fit(points)
    ours = dict(zip(map(tuple, again.points_.tolist()), again.potential_, strict=True))
    assert [ours[tuple(point)] for point in weighted.points_.tolist()] == weighted.potential_.tolist()
    assert weighted.distance_ == again.distance_
    np.testing.assert_array_equal(weighted.transform(X), again.transform(X))


def test_rows_count_with_their_weights_on_a_line():
    X, Y = [[0.0], [1.0], [2.0], [3.0]], [[-5.0], [5.0]]
    for weight, boundary in [(None, 1.5), ([1, 1, 1, 3], 2.5), ([4, 1, 1, 2], 0.5), ([1, 0, 0, 1], 1.5)]:
        transport = SemiDiscreteTransport(random_state=0, confidence=None).fit(X, Y, sample_weight=weight)
        # |x + 5|² - ψ₀ = |x - 5|² - ψ₁ at the boundary
        assert np.diff(transport.potential_)[0] / -20 == pytest.approx(boundary)
        below, above = [[boundary - 0.01]], [[boundary + 0.01]]
        np.testing.assert_array_equal(transport.assign(below + above), [0, 1])


def test_cells_have_their_masses_in_weighted_rows(rng):
    X, Y = rng.standard_normal((3000, 5)), rng.standard_normal((20, 5))
    weight = np.exp(X[:, 0])
    transport = SemiDiscreteTransport(tol=0.05, random_state=0, confidence=None).fit(X, Y, sample_weight=weight)
    masses = np.bincount(transport.assign(X), weight, 20) / weight.sum()
    # Weights of this spread (the variance of the log-normal is e - 1) leave e times fewer rows: an error of 13 %.
    assert np.sqrt(np.mean((20 * masses - 1) ** 2)) < 0.13
    unweighted = np.bincount(transport.assign(X), minlength=20) / 3000
    assert np.sqrt(np.mean((20 * unweighted - 1) ** 2)) > 0.3
    # The rows of `sample` are drawn with their weights too; 2.2 % from this draw of 2000 rows for each point.
    drawn = transport.sample(40_000, random_state=0)
    frequency = (drawn[:, None] == transport.points_).all(2).mean(0)
    assert np.sqrt(np.mean((20 * frequency - 1) ** 2)) < 0.15


def test_the_normal_target_has_as_many_rows_as_the_source_has_different_ones(rng):
    X = rng.standard_normal((20, 2))
    transport = SemiDiscreteTransport(tol=1.0, random_state=0, confidence=None)
    weighted = transport.fit(X, sample_weight=np.full(20, 3)).points_
    assert len(weighted) == 20
    np.testing.assert_array_equal(transport.fit(np.repeat(X, 3, axis=0)).points_, weighted)


@pytest.mark.parametrize(
    ("dtype", "unit"), [("float64", 2.0**460), ("float64", 2.0**-460), ("float32", 2.0**110), ("float32", 2.0**-100)]
)
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", 1.5])
def test_data_of_any_size_have_one_map(dtype, unit, cost, rng):
    X, Y = rng.standard_normal((60, 2)).astype(dtype), rng.standard_normal((8, 2)).astype(dtype)
    transport = SemiDiscreteTransport(cost=cost, tol=0.4, random_state=0)
    plain = clone(transport).fit(X, Y)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        scaled = clone(transport).fit(X * unit, Y * unit)
        images = scaled.transform(X * unit)
    # A power of 2 changes no digit; scores of wide float32 rows are computed in float64, though.
    assert (images == plain.transform(X) * unit).all(axis=1).mean() > 0.98
    np.testing.assert_allclose(scaled.distance_, plain.distance_ * unit, rtol=1e-3)
    np.testing.assert_allclose(scaled.distance_interval_, plain.distance_interval_ * unit, rtol=1e-2)


@pytest.mark.parametrize(("source", "name"), [(None, "X_target"), ("normal", "X")])
@pytest.mark.parametrize(("unit", "cost"), [(1e160, "sqeuclidean"), (1e-160, "sqeuclidean"), (1e110, 3.0)])
def test_costs_beyond_the_range_of_floats_are_refused(source, name, unit, cost, rng):
    transport = SemiDiscreteTransport(source, cost=cost)
    samples = [unit * rng.standard_normal((9, 2)) for _ in range(1 if source else 2)]
    with pytest.raises(ValueError, match=f"^{name} has numbers of up to .* divide source and target by one number"):
        transport.fit(*samples)
    assert not hasattr(transport, "n_features_in_")


def test_equal_points_are_one_in_the_order_of_the_caller(rng):
    Y = rng.standard_normal((6, 3))
    given = Y[[3, 1, 3, 0, 5, 1, 3]]
    transport = SemiDiscreteTransport("normal", tol=0.3, random_state=0, confidence=None).fit(given)
    np.testing.assert_array_equal(transport.points_, Y[[3, 1, 0, 5]])
    np.testing.assert_allclose(transport.target_weight_, np.array([3, 2, 1, 1]) / 7)


def test_the_rows_of_the_caller_are_not_kept(rng):
    X, Y = rng.standard_normal((20_000, 4)), rng.standard_normal((10, 4))
    transport = SemiDiscreteTransport(tol=0.3, random_state=0, confidence=None).fit(X, Y)
    drawn, images = transport.sample(200, random_state=0), transport.transform(X)
    again = X.copy()
    X[:], Y[:] = 7, 7
    np.testing.assert_array_equal(transport.sample(200, random_state=0), drawn)
    np.testing.assert_array_equal(transport.transform(again), images)
    # 4096 rows of 4 numbers are 128 KiB; all rows would be 625 KiB.
    assert len(pickle.dumps(transport)) < 150 * 1024


def test_arrays_in_any_order_of_memory_give_one_result(points, rng):
    transport = SemiDiscreteTransport(tol=0.3, random_state=0, confidence=None)
    X, Y = rng.standard_normal((200, 2)), points[:20].copy()
    expected = transport.fit(X, Y).transform(X)
    potential = transport.potential_
    reverse = X[::-1].copy()[::-1], Y[::-1].copy()[::-1]
    np.testing.assert_array_equal(transport.fit(*reverse).potential_, potential)
    np.testing.assert_array_equal(transport.transform(reverse[0]), expected)
    np.testing.assert_array_equal(transport.transform(X[::-1]), expected[::-1])
    np.testing.assert_array_equal(transport.fit(*map(np.asfortranarray, reverse)).potential_, potential)


def test_rows_of_any_kind_are_a_source(points, rng):
    rows = rng.standard_normal((300, 2))
    kinds = [rows, rows.tolist(), torch.from_numpy(rows), pd.DataFrame(rows)]
    make = [SemiDiscreteTransport(kind, tol=0.3, random_state=0, confidence=None) for kind in kinds]
    first, *others = (clone(transport).fit(points[:20]).potential_ for transport in make)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("kind", ["Normal", "gaussian_kde"])
def test_objects_of_scipy_are_sources(kind, points):
    if not hasattr(stats, kind):
        pytest.skip("this SciPy has no such distribution")
    source = stats.Normal(mu=[0.0, 1.0]) if kind == "Normal" else stats.gaussian_kde(MIXED.T)
    fit = SemiDiscreteTransport(source, tol=0.3, random_state=0, confidence=None).fit
    first = fit(points[:20]).potential_
    np.testing.assert_array_equal(fit(points[:20]).potential_, first)


def test_a_source_has_rows_of_another_dtype_than_the_points(points):
    source = normal(2, dtype=torch.float64, seed=0)
    transport = SemiDiscreteTransport(source, tol=0.2, random_state=0).fit(points.astype(np.float32))
    assert transport.sample(3).dtype == np.float32


class Normal:
    def sample(self, n_samples=1, random_state=None):
        return np.random.RandomState(random_state.randint(2**31)).standard_normal((n_samples, 4))


def test_all_kinds_of_sources_agree(rng):
    Y = rng.standard_normal((15, 4))
    sources = [
        "normal",
        lambda n, generator: generator.standard_normal((n, 4)),
        Normal(),
        stats.multivariate_normal(np.zeros(4)),
        rng.standard_normal((100_000, 4)),
    ]
    distances = [SemiDiscreteTransport(s, tol=0.05, random_state=0).fit(Y).distance_ for s in sources]
    # Each is a mean of 100 000 costs, with a standard error of 0.3 %.
    assert np.ptp(distances) < 0.02 * np.mean(distances)


@pytest.mark.parametrize(
    "source",
    [
        GaussianMixture(2, random_state=0).fit(MIXED),
        FrozenEstimator(GaussianMixture(2).fit(MIXED)),
        KernelDensity(bandwidth=0.5).fit(MIXED),
        stats.multivariate_normal([1.0, 0.0], [[2.0, 1.0], [1.0, 2.0]]),
    ],
    ids=["mixture", "frozen", "kernel", "scipy"],
)
def test_models_and_distributions_are_sources(source, points):
    transport = SemiDiscreteTransport(source, tol=0.1, random_state=0, confidence=None).fit(points)
    again = (
        clone(transport)
        if isinstance(source, FrozenEstimator)
        else SemiDiscreteTransport(**transport.get_params(deep=False))
    )
    np.testing.assert_array_equal(again.fit(points).potential_, transport.potential_)
    drawn = transport.sample(6000, random_state=0)
    frequency = (drawn[:, None] == points).all(2).mean(0)
    # 10 % from the masses of the cells, and 10 % from this draw of 100 rows for each point.
    assert np.sqrt(np.mean((60 * frequency - 1) ** 2)) < 0.2


def test_smoothing_goes_from_the_points_to_their_mean(fitted, points, rng):
    X = rng.standard_normal((500, 2))
    hard = fitted.transform(X)
    little, some, much = (
        clone(fitted).set_params(smoothing=smoothing, confidence=None).fit(points).transform(X)
        for smoothing in (1e-3, 1.0, 1e6)
    )
    moved = np.linalg.norm(little - hard, axis=1)
    assert np.mean(moved > 1e-3) < 0.02
    assert 0.01 < np.linalg.norm(some - hard, axis=1).mean() < 0.5
    np.testing.assert_allclose(much, np.broadcast_to(points.mean(0), X.shape), atol=1e-2)


def test_sample_draws_points_by_weight(rng):
    Y = rng.standard_normal((5, 6))
    weight = np.array([1, 2, 3, 4, 10.0])
    transport = SemiDiscreteTransport("normal", tol=0.03, random_state=0).fit(Y, target_weight=weight)
    drawn = transport.sample(20_000, random_state=1)
    np.testing.assert_array_equal(drawn, transport.sample(20_000, random_state=1))
    frequency = (drawn[:, None] == Y).all(2).mean(0)
    # 3 % from the masses, 3 % from the draw of the smallest.
    np.testing.assert_allclose(frequency, weight / 20, rtol=0.12)
    assert transport.sample().shape == (1, 6)


def test_sample_of_two_samples_moves_source_rows(rng):
    transport = SemiDiscreteTransport(tol=0.2, random_state=0).fit(rng.standard_normal((200, 3)), np.eye(3))
    drawn = transport.sample(100, random_state=0)
    assert set(map(tuple, drawn)) == set(map(tuple, np.eye(3)))


def test_dtypes_and_pickles(points, rng):
    transport = SemiDiscreteTransport("normal", tol=0.2, random_state=0).fit(points.astype(np.float32))
    X = rng.standard_normal((50, 2))
    assert transport.transform(X.astype(np.float32)).dtype == np.float32
    assert transport.transform(X).dtype == np.float64
    again = pickle.loads(pickle.dumps(transport))
    np.testing.assert_array_equal(again.transform(X), transport.transform(X))


def test_the_seed_decides_and_no_global_state_moves(points):
    before, torch_before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    first, second, other = (
        SemiDiscreteTransport("normal", tol=0.2, random_state=seed, confidence=None).fit(points).potential_
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_before, torch.random.get_rng_state())


def test_a_warm_start_needs_fewer_rows(rng):
    Y = rng.standard_normal((100, 6))
    transport = SemiDiscreteTransport("normal", tol=0.2, random_state=0, warm_start=True, confidence=None).fit(Y)
    n_cold = transport.n_samples_
    transport.fit(Y + 0.01 * rng.standard_normal(Y.shape))
    assert transport.n_samples_ < n_cold / 2
    # With another number of points the fit does not use the last potential.
    transport.fit(Y[:50])
    assert len(transport.potential_) == 50


def test_a_fit_that_falls_short_warns(rng):
    with pytest.warns(ConvergenceWarning, match="max_samples"):
        SemiDiscreteTransport("normal", tol=0.01, max_samples=1000, random_state=0, confidence=None).fit(
            rng.standard_normal((100, 6))
        )


def test_a_frozen_generator_survives_cloning(points):
    source = SemiDiscreteTransport("uniform", tol=0.3, smoothing=1.0, random_state=0, confidence=None).fit(points)
    transport = clone(SemiDiscreteTransport(FrozenEstimator(source), tol=0.3, random_state=0, confidence=None))
    assert transport.fit(points[:20]).distance_ > 0


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"source": "normal"}, {"X_target": np.ones((3, 2))}, "first argument"),
        ({"source": "cauchy"}, {}, "'source' parameter"),
        ({"cost": "cosine"}, {}, "'cost' parameter"),
        ({"cost": 0.5}, {}, "'cost' parameter"),
        ({}, {"target_weight": np.ones(9)}, "without a target sample"),
        ({"source": "normal"}, {"y": np.ones((3, 2))}, "first argument"),
        ({"source": "normal"}, {"sample_weight": np.ones(9), "target_weight": np.ones(9)}, "give one"),
        ({"source": "normal"}, {"sample_weight": np.ones(8)}, r"sample_weight has shape \(8,\)"),
        ({}, {"sample_weight": np.r_[1, np.zeros(8)]}, "sample_weight leaves 1 of 9 rows"),
        ({"source": GaussianMixture()}, {}, "not fitted yet"),
        ({"smoothing": np.inf}, {}, "'smoothing' parameter"),
        ({}, {"X_target": np.eye(2), "target_weight": [0, 0]}, "target_weight is zero"),
        ({}, {"X_target": np.eye(2), "target_weight": [1, -1]}, "target_weight has a negative"),
        ({}, {"X_target": np.eye(2), "target_weight": [1, 1, 1]}, r"target_weight has shape \(3,\)"),
        ({}, {"X_target": np.eye(3)}, "3 features"),
        ({"source": lambda n, generator: np.zeros((n, 3))}, {}, r"\(4096, 2\) is needed"),
    ],
)
def test_bad_arguments_are_named(rng, parameters, arguments, message):
    transport = SemiDiscreteTransport(**parameters)
    with pytest.raises(ValueError, match=message):
        transport.fit(rng.standard_normal((9, 2)), **arguments)
    assert not hasattr(transport, "potential_")


@pytest.mark.parametrize("n_samples", [-1, 0, 2.5, True])
def test_a_number_of_rows_that_is_none_is_named(fitted, n_samples):
    with pytest.raises(ValueError, match="n_samples must be an integer of 1 or more"):
        fitted.sample(n_samples)


def test_memory_of_a_fit_holds_no_batch_times_points(measured):
    code = """
Y = normal(16_000, 16)
SemiDiscreteTransport("normal", confidence=None, tol=0.5, max_samples=1, random_state=0).fit(Y[:100])
start = peak()
SemiDiscreteTransport("normal", confidence=None, tol=0.5, max_samples=1, random_state=0).fit(Y)
print(peak() - start)
"""
    # The scores of a batch of 4096 rows would take 250 MiB. A tile has 256 rows, and there are three and a quarter
    # tiles.
    assert next(measured(code)) < 125


@pytest.mark.slow
def test_memory_of_very_many_points(measured):
    """The whole process takes less than 2 GiB for 60 000 x 784, with 180 MiB of data and the libraries."""
    code = """
Y = normal(60_000, 784)
SemiDiscreteTransport("normal", max_samples=20_000, random_state=0).fit(Y)
print(peak())
"""
    assert next(measured(code)) < 2048


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_points_that_are_far_out_are_named_once(rng):
    points = rng.standard_normal((200, 2))
    points[17, 1] = 1e3
    transport = SemiDiscreteTransport("normal", tol=0.5, max_samples=2000, confidence=None, random_state=0)
    with pytest.warns(UserWarning, match="far out") as caught:
        transport.fit(points)
    (message,) = (str(warning.message) for warning in caught if "far out" in str(warning.message))
    assert message.startswith("Numbers are far out in column 1 of X (row 17). ")
