import numpy as np
import ot
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import cdist
from sklearn import config_context

from sklearn_ot.metrics import (
    copying,
    energy_distance,
    frechet_distance,
    l2_uvp,
    map_cosine,
    mode_coverage,
    sample_quality,
    sliced_wasserstein_distance,
    wasserstein_distance,
)

# float64 sums over a few dozen rows: 1e-15 each, with room for another order of summation.
ROUNDING = 1e-12
# The energy distance is a small difference of three means, and scikit-learn expands |x - y|²; both lose digits.
CANCELLATION = 1e-9


def sliced(X, Y, **kwargs):
    return sliced_wasserstein_distance(X, Y, random_state=0, **kwargs)


DISTANCES = pytest.mark.parametrize("distance", [wasserstein_distance, sliced, energy_distance])


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    return rng.standard_normal((40, 3)), 1 + 2 * rng.standard_normal((25, 3))


@pytest.fixture
def weights():
    """Small integers: a weight of n is the same as n copies of the row. Some are 0."""
    rng = np.random.RandomState(1)
    return rng.randint(4, size=40), rng.randint(4, size=25)


# Properties of every distance


@DISTANCES
def test_a_distance_is_symmetric_and_separates_different_samples(distance, samples):
    X, Y = samples
    assert type(distance(X, Y)) is float
    assert distance(X, Y) > 0.1
    assert distance(X, Y) == pytest.approx(distance(Y, X), rel=ROUNDING)
    # |x - x| is exactly 0. Sums in another order differ by rounding, of which W2 takes the root.
    assert distance(X, X[::-1]) == pytest.approx(0, abs=1e-7)


@DISTANCES
def test_a_distance_has_the_units_of_the_data(distance, samples):
    X, Y = samples
    assert distance(1e3 * X, 1e3 * Y) == pytest.approx(1e3 * distance(X, Y), rel=CANCELLATION)


@DISTANCES
def test_a_distance_does_not_depend_on_the_origin(distance, samples):
    X, Y = samples
    # Adding 1e4 to numbers of size 1 rounds them to 1e-12.
    assert distance(X + 1e4, Y + 1e4) == pytest.approx(distance(X, Y), rel=1e-10)


@DISTANCES
def test_an_integer_weight_repeats_a_row(distance, samples, weights):
    (X, Y), (x_weight, y_weight) = samples, weights
    weighted = distance(X, Y, sample_weight=x_weight, target_weight=y_weight)
    repeated = distance(np.repeat(X, x_weight, axis=0), np.repeat(Y, y_weight, axis=0))
    assert weighted == pytest.approx(repeated, rel=CANCELLATION)
    assert weighted != pytest.approx(distance(X, Y), rel=1e-3)


@DISTANCES
@pytest.mark.parametrize("scale", [1e-320, 1e-3, 1e308])
def test_weights_are_normalised(distance, samples, weights, scale):
    X, Y = samples
    expected = distance(X, Y, sample_weight=weights[0] > 0)
    assert distance(X, Y, sample_weight=scale * (weights[0] > 0)) == pytest.approx(expected, rel=CANCELLATION)


@DISTANCES
def test_a_row_of_weight_zero_has_no_effect(distance, samples):
    X, Y = samples
    # So far away that even a weight of one rounding error would show, and so would an effect on the origin.
    far = np.full((1, 3), 1e12)
    weighted = distance(
        np.vstack([X, far]),
        np.vstack([Y, far]),
        sample_weight=np.append(np.ones(40), 0),
        target_weight=np.append(np.ones(25), 0),
    )
    assert weighted == pytest.approx(distance(X, Y), rel=CANCELLATION)


@DISTANCES
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"Y": np.ones((4, 2))}, "X has 3 columns, but Y has 2"),
        ({"Y": np.ones((0, 3))}, "0 sample"),
        ({"Y": np.full((4, 3), np.nan)}, "Input Y contains NaN"),
        ({"Y": np.ones(4)}, "Expected 2D array"),
        ({"sample_weight": np.ones(4)}, r"sample_weight has shape \(4,\), but X has 40 rows"),
        ({"sample_weight": np.ones((40, 1))}, r"sample_weight has shape \(40, 1\)"),
        ({"target_weight": -np.ones(25)}, r"target_weight has a negative weight \(-1\)"),
        ({"target_weight": np.zeros(25)}, "target_weight is zero on every row"),
        ({"target_weight": np.full(25, np.inf)}, "target_weight contains infinity"),
    ],
)
def test_unusable_samples_are_refused(distance, samples, kwargs, message):
    with pytest.raises(ValueError, match=message):
        distance(**{"X": samples[0], "Y": samples[1]} | kwargs)


@pytest.mark.parametrize("distance", [wasserstein_distance, sliced])
@pytest.mark.parametrize("p", [0.5, np.inf, "2"])
def test_the_order_is_a_number_of_1_or_more(distance, samples, p):
    with pytest.raises(ValueError, match=r"'p' parameter of .* must be a float in the range \[1.0, inf\)"):
        distance(*samples, p=p)


# wasserstein_distance


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_wasserstein_of_a_translation_is_its_length(samples, p):
    # Translations are optimal for every convex cost.
    assert wasserstein_distance(samples[0], samples[0] + [2, -1, 2], p=p) == pytest.approx(3, rel=ROUNDING)


def test_wasserstein_agrees_with_pot(samples):
    X, Y = samples
    assert wasserstein_distance(X, Y) == pytest.approx(ot.emd2([], [], ot.dist(X, Y)) ** 0.5, rel=ROUNDING)
    assert wasserstein_distance(X, Y, p=1) == pytest.approx(
        ot.emd2([], [], ot.dist(X, Y, metric="euclidean")), rel=ROUNDING
    )


@pytest.mark.parametrize("p", [1, 1.5, 2])
def test_wasserstein_of_one_feature_is_that_of_points_on_a_line_in_the_plane(samples, weights, p):
    (X, Y), (x_weight, y_weight) = samples, weights
    X, Y, w = X[:, :1], Y[:, :1], {"sample_weight": x_weight, "target_weight": y_weight}
    line = wasserstein_distance(X * [0.6, 0.8], Y * [0.6, 0.8], p=p, **w)
    assert wasserstein_distance(X, Y, p=p, **w) == pytest.approx(line, rel=ROUNDING)
    if p == 1:
        scipy = stats.wasserstein_distance(X[:, 0], Y[:, 0], x_weight, y_weight)
        assert wasserstein_distance(X, Y, p=p, **w) == pytest.approx(scipy, rel=ROUNDING)


@pytest.mark.parametrize("p", [1, 2, 4])
@pytest.mark.parametrize("scale", [1e-20, 1e-5, 1e20])
def test_wasserstein_has_the_units_of_the_data(samples, p, scale):
    X, Y = samples
    scaled = wasserstein_distance(scale * X, scale * Y, p=p)
    assert scaled == pytest.approx(scale * wasserstein_distance(X, Y, p=p), rel=ROUNDING, abs=0)


def test_wasserstein_warns_if_the_solver_stops_early(samples, monkeypatch):
    monkeypatch.setattr("sklearn_ot.solvers.plan.MAX_PIVOTS", 3)
    with pytest.warns(UserWarning, match="numItermax"), pytest.raises(RuntimeError, match="No exact plan between"):
        wasserstein_distance(*samples)


# sliced_wasserstein_distance


@pytest.mark.parametrize("p", [1, 2, 3])
def test_sliced_agrees_with_pot(samples, p):
    X, Y = samples
    # 100 directions are more than one block of projections.
    expected = ot.sliced_wasserstein_distance(X, Y, n_projections=100, p=p, seed=0)
    assert sliced(X, Y, p=p, n_projections=100) == pytest.approx(expected, rel=ROUNDING)


def test_sliced_of_a_translation_is_its_length_over_root_d(samples):
    # The mean of <θ, t>² has a relative standard deviation below sqrt(2 / n). The tolerance is 5 of them, halved by the
    # root.
    distance = sliced(samples[0], samples[0] + [2, -1, 2], n_projections=10_000)
    assert distance == pytest.approx(3 / np.sqrt(3), rel=5 * np.sqrt(2 / 10_000) / 2)


def test_sliced_in_one_dimension_is_exact(samples):
    X, Y = samples[0][:, :1], samples[1][:, :1]
    assert sliced(X, Y, n_projections=1) == pytest.approx(wasserstein_distance(X, Y), rel=ROUNDING)


def test_sliced_is_below_wasserstein(samples):
    assert sliced(*samples) < wasserstein_distance(*samples)


def test_sliced_repeats_only_with_a_seed(samples):
    first, second = (sliced_wasserstein_distance(*samples, random_state=seed) for seed in (0, 1))
    assert first == sliced_wasserstein_distance(*samples, random_state=np.random.RandomState(0))
    assert first != second
    with pytest.raises(ValueError, match="n_projections"):
        sliced_wasserstein_distance(*samples, n_projections=0)


# energy_distance


def test_energy_in_one_dimension_is_the_square_of_scipys(samples, weights):
    (X, Y), (x_weight, y_weight) = samples, weights
    ours = energy_distance(X[:, :1], Y[:, :1], sample_weight=x_weight, target_weight=y_weight)
    assert ours == pytest.approx(stats.energy_distance(X[:, 0], Y[:, 0], x_weight, y_weight) ** 2, rel=CANCELLATION)


def test_energy_between_gaussians():
    # X - Y is N(m, 2I) and X - X' is N(0, 2I) in three dimensions: E|X - X'| = 4 / √π, and E|X - Y| is √2 times the
    # mean of the chi distribution with 3 degrees of freedom and non-centrality |m| / √2.
    rng, n, m = np.random.RandomState(0), 2000, np.array([3, 0, 0])
    X, Y = rng.standard_normal((n, 3)), rng.standard_normal((n, 3)) + m
    between = np.sqrt(2) * stats.ncx2(3, m @ m / 2).expect(np.sqrt)
    within = 4 / np.sqrt(np.pi)
    # The bias of the V-statistic is known. Its standard deviation is 2 std(h) √(2 / n) with
    # h(x) = E|x - Y| - E|x - X'|, which is between -3 and 3; std(h) is 0.81 here. The tolerance is 4 deviations.
    deviation = 2 * 0.81 * np.sqrt(2 / n)
    assert energy_distance(X, Y) == pytest.approx(2 * (between - within) + 2 * within / n, abs=4 * deviation)


def test_energy_is_the_same_in_chunks(samples):
    X, Y = np.tile(samples[0], (20, 1)), np.tile(samples[1], (20, 1))
    whole = energy_distance(X, Y)
    with config_context(working_memory=0.1):  # MiB: 16 rows at a time
        assert energy_distance(X, Y) == pytest.approx(whole, rel=CANCELLATION)


# Errors of a map


def test_uvp_is_a_percentage_of_the_variance(samples):
    true = samples[0]
    assert l2_uvp(true, true) == 0
    assert l2_uvp(np.broadcast_to(true.mean(axis=0), true.shape), true) == pytest.approx(100, rel=ROUNDING)
    assert l2_uvp(true + np.array([2, -1, 2]), true, target_variance=18) == pytest.approx(50, rel=ROUNDING)
    assert type(l2_uvp(true, true)) is float


def test_uvp_does_not_depend_on_units(samples):
    true, mapped = samples[0], samples[0] + 1
    assert l2_uvp(1e3 * mapped, 1e3 * true) == pytest.approx(l2_uvp(mapped, true), rel=ROUNDING)


def test_cosine_depends_on_directions_only(samples):
    X = samples[0]
    step = np.random.RandomState(1).standard_normal(X.shape)
    assert map_cosine(X, X + 0.3 * step, X + step) == pytest.approx(1, abs=ROUNDING)
    assert map_cosine(X, X - step, X + step) == pytest.approx(-1, abs=ROUNDING)
    assert map_cosine(X, X + step @ [[0, 0, 0], [0, 1, 0], [0, 0, 1]], X + step * [1, 0, 0]) == 0
    assert map_cosine(X, X, X + step) == 0
    # Of two displacements of equal length one is turned by a right angle, so the cosine is one half.
    assert map_cosine(np.zeros((2, 2)), np.eye(2), [[1, 0], [1, 0]]) == pytest.approx(0.5, abs=ROUNDING)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: l2_uvp(np.ones((3, 2)), np.ones((4, 2))), r"mapped \(3, 2\), true \(4, 2\)"),
        (lambda: l2_uvp(np.ones((3, 2)), np.full((3, 2), 0.1)), "variance is 0"),
        (lambda: l2_uvp(np.ones((3, 2)), np.ones((3, 2)), target_variance=0), "target_variance"),
        (lambda: map_cosine(np.ones((3, 1)), np.ones((3, 2)), np.ones((3, 2))), r"X \(3, 1\), mapped \(3, 2\)"),
        (lambda: map_cosine(np.ones((3, 2)), np.full((3, 2), np.nan), np.ones((3, 2))), "mapped contains NaN"),
    ],
)
def test_unusable_images_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Coverage of modes


def test_coverage_follows_its_definitions():
    modes = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    # Four rows at the first mode; two at the second, one of them 3.01 std away; two nearest to the third, but far away.
    X = [[0, 0], [3, 0], [0, -3], [1, 1], [10, 0], [10, 3.01], [0, 15], [-4, 10]]
    coverage = mode_coverage(X, modes, std=1)
    assert coverage.n_modes == 2
    assert coverage.high_quality == 5 / 8
    # The shares 1/2, 1/4, 1/4, 0 have the divergence (log 2) / 2 from four quarters.
    assert coverage.reverse_kl == pytest.approx(np.log(2) / 2, rel=ROUNDING)
    assert mode_coverage(X, modes, std=1, mode_weight=[4, 2, 2, 1e-9]).reverse_kl == pytest.approx(0, abs=1e-9)


def test_coverage_of_the_mixture_itself():
    modes, rng = 5 * np.arange(4.0)[:, None] + 1e6, np.random.RandomState(0)
    X = modes[rng.randint(4, size=50_000)] + 0.1 * rng.standard_normal((50_000, 1))
    coverage = mode_coverage(X, modes, std=0.1)
    assert coverage.n_modes == 4
    # 4 standard errors of a share of 0.9973 in 50 000 rows.
    assert coverage.high_quality == pytest.approx(2 * stats.norm.cdf(3) - 1, abs=1e-3)
    # 2 n KL has the χ² distribution with 3 degrees of freedom, whose 0.9999 quantile is 21.
    assert 0 <= coverage.reverse_kl < 21 / 1e5


def test_rows_of_one_mode_have_high_quality_and_a_large_divergence():
    coverage = mode_coverage(np.zeros((9, 2)), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), std=0.01)
    assert coverage == (1, 1.0, pytest.approx(np.log(3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mode_coverage(np.ones((3, 2)), np.ones((4, 3)), 1), "X has 2 columns, but modes has 3"),
        (lambda: mode_coverage(np.ones((3, 2)), np.ones((4, 2)), 0), "std"),
        (lambda: mode_coverage(np.ones((3, 2)), np.ones((2, 2)), 1, mode_weight=[0, 1]), "mode_weight is 0"),
        (lambda: mode_coverage(np.ones((3, 2)), np.ones((2, 2)), 1, mode_weight=[1]), "1,.*2 rows"),
    ],
)
def test_unusable_modes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def quality_by_definition(X, Y, k):
    """The four numbers, ball by ball."""
    x_radius, y_radius = (np.sort(cdist(Z, Z), axis=1)[:, k] for Z in (X, Y))
    distances = cdist(X, Y)
    precision = np.mean([any(distances[i] < y_radius) for i in range(len(X))])
    recall = np.mean([any(distances[:, j] < x_radius) for j in range(len(Y))])
    density = np.mean([sum(distances[i] < y_radius) for i in range(len(X))]) / k
    coverage = np.mean([distances[:, j].min() < y_radius[j] for j in range(len(Y))])
    return precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 5])
def test_sample_quality_by_definition(k):
    rng = np.random.default_rng(0)
    X, Y = 0.7 * rng.normal(size=(60, 3)) + 0.5, rng.normal(size=(80, 3))
    np.testing.assert_allclose(sample_quality(X + 1000, Y + 1000, n_neighbors=k), quality_by_definition(X, Y, k))
    with config_context(working_memory=1e-3):  # many chunks
        np.testing.assert_allclose(sample_quality(X, Y, n_neighbors=k), quality_by_definition(X, Y, k))


def test_sample_quality_agrees_with_prdc():
    """Against compute_prdc(Y, X, nearest_k=5) of prdc 0.2."""
    rng = np.random.RandomState(0)
    X = 1.2 * rng.standard_normal((60, 4)) + 0.3
    Y = rng.standard_normal((80, 4))
    np.testing.assert_allclose(sample_quality(X, Y), (56 / 60, 79 / 80, 0.78, 74 / 80))


def test_sample_quality_of_the_same_distribution():
    """By symmetry of exchangeable rows, coverage is 1 − 2⁻ᵏ up to 1/n, and density 1."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2000, 4)), rng.normal(size=(2000, 4))
    quality = sample_quality(X, Y, n_neighbors=3)
    # Coverage is a share of 2000 rows with a standard error of 0.008. The balls of density overlap, which doubles it.
    assert quality.coverage == pytest.approx(1 - 2**-3, abs=0.03)
    assert quality.density == pytest.approx(1, abs=0.05)
    assert quality.precision > 0.9
    assert quality.recall > 0.9


def test_each_number_of_sample_quality_shows_its_own_failure():
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(400, 2)) + np.repeat([[0, 0], [20, 0]], 200, axis=0)
    one_mode = sample_quality(rng.normal(size=(400, 2)), Y)
    assert one_mode.precision > 0.9
    assert one_mode.recall == pytest.approx(0.5, abs=0.05)
    assert one_mode.coverage == pytest.approx(0.5, abs=0.05)
    junk = sample_quality(np.vstack([Y + 0.01, Y + np.array([0, 50])]), Y)
    assert junk.precision == pytest.approx(0.5, abs=0.05)
    assert junk.coverage > 0.95


def test_sample_quality_needs_neighbours():
    with pytest.raises(ValueError, match="X has 5 rows and Y 9; both need more than n_neighbors=5"):
        sample_quality(np.zeros((5, 1)), np.zeros((9, 1)))


def test_frechet_distance_of_known_moments():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) + 3, rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    covariances = [np.cov(Z.T) for Z in (X, Y)]
    root = linalg.sqrtm(covariances[0])
    middle = linalg.sqrtm(root @ covariances[1] @ root)
    expected = np.sum((X.mean(0) - Y.mean(0)) ** 2) + np.trace(sum(covariances) - 2 * middle)
    assert frechet_distance(X, Y) == pytest.approx(expected.real)
    assert frechet_distance(Y, X) == pytest.approx(expected.real)
    # A translation costs the square of its length, and a factor a costs (a - 1)² times the second moments.
    assert frechet_distance(X, X + np.array([3, 4, 0, 0])) == pytest.approx(25)
    assert frechet_distance(X, 3 * X) == pytest.approx(4 * np.trace(covariances[0]) + 4 * np.sum(X.mean(0) ** 2))


def test_frechet_distance_of_fewer_rows_than_features():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 20))
    assert frechet_distance(X, X) == pytest.approx(0, abs=1e-9)
    turned = X[::-1, ::-1]
    covariances = [np.cov(Z.T) + 1e-12 * np.eye(20) for Z in (X, turned)]
    root = linalg.sqrtm(covariances[0])
    expected = np.sum((X.mean(0) - turned.mean(0)) ** 2) + np.trace(
        sum(covariances) - 2 * linalg.sqrtm(root @ covariances[1] @ root)
    )
    assert frechet_distance(X, turned) == pytest.approx(expected.real, rel=1e-3)  # roots of rounding errors
    with pytest.raises(ValueError, match="a covariance needs 2 or more"):
        frechet_distance(X[:1], X)


@pytest.mark.parametrize("bad", [[["a", "b"]], [[1j, 0]], [[[1.0]]], [1.0, 2.0], np.zeros((0, 2)), [[1.0], [1.0, 2.0]]])
def test_errors_about_rows_name_the_argument(bad):
    rows = np.arange(12.0).reshape(6, 2)
    with pytest.raises((ValueError, TypeError), match=r"\bY\b"):
        energy_distance(rows, bad)
    with pytest.raises((ValueError, TypeError), match=r"\bmodes\b"):
        mode_coverage(rows, bad, 1.0)
    with pytest.raises((ValueError, TypeError), match=r"\bheld_out\b"):
        copying(rows, rows, bad)


def test_errors_about_weights_of_modes_name_them():
    rows = np.arange(12.0).reshape(6, 2)
    for bad in ([1.0], [np.nan, 1], [-1, 1], ["a", "b"]):
        with pytest.raises(ValueError, match=r"\bmode_weight\b"):
            mode_coverage(rows, rows[:2], 1.0, mode_weight=bad)
