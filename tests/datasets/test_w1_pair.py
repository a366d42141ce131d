import pickle

import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist

from sklearn_ot.datasets import make_w1_pair
from sklearn_ot.metrics import energy_distance

# Products of matrices of up to 128 columns in float64.
ROUNDING = 1e-12
KINDS = pytest.mark.parametrize("kind", ["flats", "planes", "shells", "blocks", "field"])
TARGETS = pytest.mark.parametrize("target", ["uniform", "mixture", "student", "correlated"])
DIMENSIONS = pytest.mark.parametrize("n_features", [1, 2, 8, 64, 128])


def matched_rows(pair, n_samples, seed=7):
    """Rows of the source, their images, and the distances between them."""
    x, y = pair.sample_source(n_samples, seed), pair.sample_target(n_samples, seed)
    return x, y, np.linalg.norm(x - y, axis=1)


def rays_of(pair):
    """The function with rays that a pair is made of."""
    return pair.transport.__self__.rays


# The potential and the map


@KINDS
@TARGETS
@DIMENSIONS
def test_the_potential_falls_by_the_distance_that_each_row_moves(kind, target, n_features):
    pair = make_w1_pair(n_features, 5, kind=kind, target=target, random_state=0)
    x, y, distance = matched_rows(pair, 300)
    np.testing.assert_allclose(pair.potential(x) - pair.potential(y), distance, atol=ROUNDING)
    # Planes are the nearest of all.
    assert distance.mean() > 0.02
    assert (distance > 0).all()


@KINDS
@TARGETS
@DIMENSIONS
def test_the_potential_is_1_lipschitz(kind, target, n_features):
    pair = make_w1_pair(n_features, 400, kind=kind, target=target, random_state=0)
    # Rows far from each other, near to each other, and far out.
    near = pair.source + 0.01 * np.random.RandomState(0).standard_normal(pair.source.shape)
    for x, y in ((pair.source, pair.target), (pair.source, near), (pair.source, 100 * near)):
        slope = np.abs(pair.potential(x) - pair.potential(y)) / np.linalg.norm(x - y, axis=1)
        # Differences of values are rounded to 1e-13, and steps are longer than 1e-5.
        assert slope.max() <= 1 + 1e-8
    # The slope in a random direction is far from 0, about 1 / √d.
    assert slope.max() > 0.1 / np.sqrt(n_features)


@KINDS
@TARGETS
@DIMENSIONS
def test_transport_and_inverse_undo_each_other(kind, target, n_features):
    pair = make_w1_pair(n_features, 5, kind=kind, target=target, random_state=0)
    x, y, _ = matched_rows(pair, 300)
    images = pair.transport(x)
    # Distances from the lower end are rounded to 1e-15 or so, and the map takes the fourth root of them.
    np.testing.assert_allclose(images, y, atol=1e-3)
    assert np.median(np.abs(images - y)) < ROUNDING
    np.testing.assert_allclose(pair.inverse(images), x, atol=ROUNDING)


@KINDS
@TARGETS
@pytest.mark.parametrize("n_features", [2, 8])
def test_the_map_has_the_cost_of_an_exact_plan(kind, target, n_features):
    pair = make_w1_pair(n_features, 5, kind=kind, target=target, random_state=0)
    x, y, distance = matched_rows(pair, 200)
    assert ot.emd2([], [], cdist(x, y)) == pytest.approx(distance.mean(), rel=1e-9)
    # A plan of unmatched rows costs more: the rows are not so far from each other that any plan is optimal.
    assert cdist(x, y).mean() > 1.2 * distance.mean()


@KINDS
@TARGETS
def test_the_map_is_monotone_on_rays(kind, target):
    pair = make_w1_pair(3, 5, kind=kind, target=target, random_state=0)
    y = pair.sample_target(300, 1)
    step = pair.inverse(y) - y
    # Another row on the ray of y, nearer to its lower end.
    lower = y + 0.3 * step
    fall = pair.potential(pair.inverse(lower)) - pair.potential(pair.inverse(y))
    # Near the lower end the power map brings both rows there, but for rounding.
    assert (fall > -ROUNDING).all()
    assert (fall > 1e-9).mean() > 0.95
    # It stays on the line through y.
    direction = step / np.linalg.norm(step, axis=1)[:, None]
    moved = pair.inverse(lower) - lower
    along = np.einsum("ij,ij->i", moved, direction)
    np.testing.assert_allclose(moved, along[:, None] * direction, atol=1e-9)


@pytest.mark.parametrize("kind", ["flats", "planes", "shells", "blocks"])
@pytest.mark.parametrize("n_pieces", [2, 40])
@pytest.mark.parametrize("n_features", [2, 3, 8, 40])
def test_rays_are_as_long_as_the_slope_is_1(kind, n_pieces, n_features):
    n_pieces = min(n_pieces, n_features) if kind == "blocks" else n_pieces
    rays = rays_of(make_w1_pair(n_features, 2, kind=kind, n_pieces=n_pieces, random_state=0))
    x = np.random.RandomState(1).uniform(-2, 2, (2000, n_features))
    below, direction, above = rays.ray(x)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1, atol=ROUNDING)

    def rise(step, rows=slice(None)):
        return rays.value(x[rows] + step[:, None] * direction[rows]) - rays.value(x[rows])

    up = np.minimum(above, 100)
    np.testing.assert_allclose(rise(up), up, atol=1e-9)
    np.testing.assert_allclose(rise(-below), -below, atol=1e-9)
    # Beyond an end the function does not go on with slope 1: it falls, or rises less.
    past = 1e-3
    np.testing.assert_array_less(-below - past + 1e-9, rise(-below - past))
    ends = above < 100
    # The other piece may grow with almost the same slope: in most rows it does not.
    short = above[ends] + past - rise(above[ends] + past, ends)
    assert (short >= -1e-9).all()
    if kind != "blocks" and n_pieces > 2:
        assert ends.mean() > 0.4
        assert (short > 1e-5).mean() > 0.9
    else:
        assert kind != "blocks" or np.isinf(above).all()


@TARGETS
@pytest.mark.parametrize("kind", ["flats", "planes", "shells"])
def test_rows_near_the_upper_end_hardly_move(kind, target):
    pair = make_w1_pair(3, 400, kind=kind, target=target, random_state=0)
    _, direction, above = rays_of(pair).ray(pair.target)
    ends = above < 10
    assert ends.mean() > 0.5
    near = pair.target[ends] + (above[ends] - 1e-6)[:, None] * direction[ends]
    # At the end the slope of the inverse is the degree, 4, or less.
    assert np.linalg.norm(pair.inverse(near) - near, axis=1).max() < 4e-6


def test_rays_of_a_bounded_target_end_at_its_border():
    pair = make_w1_pair(2, 5, kind="flats", n_pieces=1, random_state=0)
    _, y, _ = matched_rows(pair, 2000)
    assert np.abs(y).max() <= np.sqrt(3)
    # Rows at the border stay in place, and so do those outside.
    y[:, 0] = np.sqrt(3)
    at_border = pair.inverse(y)
    outwards = rays_of(pair).ray(y).direction[:, 0] > 0
    np.testing.assert_allclose(at_border[outwards], y[outwards], atol=ROUNDING)
    assert 0.2 < outwards.mean() < 1
    np.testing.assert_array_equal(pair.transport(10 * y[outwards]), 10 * y[outwards])


def test_one_flat_has_the_power_of_the_distance():
    # In one feature a flat is a point, at which the potential has its maximum.
    pair = make_w1_pair(1, 5, n_pieces=1, degree=3, random_state=0)
    grid = np.linspace(-np.sqrt(3), np.sqrt(3), 10_001)[:, None]
    foot = grid[pair.potential(grid).argmax(), 0]
    end = np.sqrt(3)
    for t in (0.2, 0.7):
        image = end - (end - foot) * (1 - t)
        preimage = foot + (end - foot) * t**3
        # The foot is known to half of a step of the grid.
        np.testing.assert_allclose(pair.transport([[preimage]]), [[image]], atol=1e-3)


def test_far_rows_of_infinite_rays_move_by_the_degree():
    pair = make_w1_pair(2, 5, kind="blocks", n_pieces=1, target="student", degree=3, random_state=0)
    far = np.array([[1e7, 0.0], [0.0, -1e9], [3e99, 4e99]])
    # The centre and the unit of length are of size 1.
    np.testing.assert_allclose(pair.inverse(far), far / 3, rtol=1e-5, atol=10)
    np.testing.assert_allclose(pair.transport(far), 3 * far, rtol=1e-5, atol=100)


def test_rows_at_the_lower_end_stay_in_place():
    for target in ("uniform", "mixture"):
        pair = make_w1_pair(2, 5, kind="blocks", target=target, random_state=0)
        centre = rays_of(pair).centre[None]
        np.testing.assert_array_equal(pair.transport(centre), centre)
        np.testing.assert_array_equal(pair.inverse(centre), centre)


def test_the_steps_of_a_field_differ_among_rays_only():
    pair = make_w1_pair(3, 5, kind="field", random_state=0)
    x, y, distance = matched_rows(pair, 500)
    axis = (y - x)[0] / distance[0]
    np.testing.assert_allclose(y - x, distance[:, None] * axis, atol=ROUNDING)
    shifted = x + 5 * axis
    np.testing.assert_allclose(pair.transport(shifted) - shifted, y - x, atol=ROUNDING)
    # The variance of the logarithm is ½ for phases that are uniform; the waves are fixed here.
    assert 0.2 < np.log(distance).var() < 1


# The samples


@KINDS
@TARGETS
def test_rows_are_those_of_the_target_and_their_preimages(kind, target):
    pair = make_w1_pair(3, 2000, kind=kind, target=target, n_target_samples=1500, random_state=0)
    assert pair.source.shape == (2000, 3)
    assert pair.target.shape == (1500, 3)
    assert cdist(pair.transport(pair.source), pair.target).min() > 0
    for first, fresh in (
        (pair.transport(pair.source), pair.target),
        (pair.source, pair.sample_source(2000, 1)),
        (pair.target, pair.sample_target(2000, 1)),
    ):
        # Three times the expectation for two samples of one distribution.
        bias = cdist(fresh, fresh).mean() * (1 / len(first) + 1 / len(fresh))
        assert energy_distance(first, fresh) < 3 * bias
    np.testing.assert_array_equal(pair.sample_source(5, 2), pair.inverse(pair.sample_target(5, 2)))


@KINDS
def test_seeds_are_reproducible_and_numbers_of_rows_change_no_pair(kind):
    few, many = (make_w1_pair(4, n, kind=kind, target="mixture", random_state=0) for n in (10, 1000))
    np.testing.assert_array_equal(few.transport(many.source), many.transport(many.source))
    np.testing.assert_array_equal(
        many.source, make_w1_pair(4, 1000, kind=kind, target="mixture", random_state=0).source
    )
    other = make_w1_pair(4, 10, kind=kind, target="mixture", random_state=1)
    assert np.abs(other.potential(many.source) - many.potential(many.source)).mean() > 0.05


@KINDS
def test_a_pair_can_be_pickled(kind):
    pair = make_w1_pair(3, 20, kind=kind, random_state=0)
    copy = pickle.loads(pickle.dumps(pair))
    assert copy.keys() == pair.keys()
    for method in ("transport", "inverse", "potential"):
        np.testing.assert_array_equal(copy[method](pair.target), pair[method](pair.target))


def test_the_distance_is_a_mean_with_its_standard_error():
    pair = make_w1_pair(2, 5, random_state=0)
    exact, _ = pair.distance(400_000)
    errors = []
    for seed in range(200):
        distance, standard_error = pair.distance(500, seed)
        errors.append((distance - exact) / standard_error)
    # The standard deviations of these two are 0.07 and 0.05.
    assert np.mean(errors) == pytest.approx(0, abs=0.3)
    assert np.std(errors) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("kind", ["flats", "shells"])
def test_chunks_change_no_value(kind, monkeypatch):
    pair = make_w1_pair(5, 100, kind=kind, n_pieces=30, random_state=0)
    values, images = pair.potential(pair.source), pair.transport(pair.source)
    monkeypatch.setattr("sklearn_ot.solvers.chunks.CHUNK_NUMBERS", 30 * 5 * 7)
    np.testing.assert_allclose(pair.potential(pair.source), values, atol=ROUNDING)
    np.testing.assert_allclose(pair.transport(pair.source), images, atol=1e-9)


# Errors


def test_unusable_arguments_are_refused():
    with pytest.raises(ValueError, match="'n_features' parameter of make_w1_pair"):
        make_w1_pair(0)
    with pytest.raises(ValueError, match="'kind' parameter of make_w1_pair"):
        make_w1_pair(2, kind="cones")
    with pytest.raises(ValueError, match="'degree' parameter of make_w1_pair"):
        make_w1_pair(2, degree=1)
    with pytest.raises(ValueError, match="degree=2 has no effect on kind='field'"):
        make_w1_pair(2, kind="field", degree=2)
    with pytest.raises(ValueError, match="3 features cannot be divided into n_pieces=4 blocks"):
        make_w1_pair(3, kind="blocks", n_pieces=4)
    pair = make_w1_pair(3, 20, random_state=0)
    for method in ("transport", "inverse", "potential"):
        with pytest.raises(ValueError, match="The rows have 2 features, but this pair has 3"):
            pair[method](np.ones((4, 2)))
        with pytest.raises(ValueError, match="NaN"):
            pair[method](np.full((4, 3), np.nan))
