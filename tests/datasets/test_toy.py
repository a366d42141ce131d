import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons, make_swiss_roll

from sklearn_ot.datasets import grid_modes, make_gaussian_grid, make_gaussian_ring, make_toy, ring_modes
from sklearn_ot.metrics import wasserstein_distance

MIXTURES = {
    "8gaussians": (ring_modes(8), 0.01),
    "25gaussians": (grid_modes(5), 0.05),
    "49gaussians": (grid_modes(7), 0.05),
    "100gaussians": (grid_modes(10), 0.05),
}
CURVES = ["moons", "rings", "swiss_roll"]
# A correct test statistic has a smaller p-value than this once in a million seeds.
UNLIKELY = 1e-6


@pytest.mark.parametrize("name", [*MIXTURES, *CURVES])
def test_rows_depend_only_on_the_seed(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    X, labels = make_toy(name, 300, return_labels=True, random_state=0)
    assert X.shape == (300, 2)
    assert labels.shape == (300,)
    assert X.dtype == float
    np.testing.assert_array_equal(X, make_toy(name, 300, random_state=np.random.RandomState(0)))
    assert not np.array_equal(X, make_toy(name, 300, random_state=1))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_have_the_modes_and_spread_of_the_protocol(name):
    modes, std = MIXTURES[name]
    assert len(modes) == int(name.removesuffix("gaussians"))
    X, labels = make_toy(name, 4000, return_labels=True, random_state=0)
    # Modes are more than 40 standard deviations apart, so each row was drawn from the nearest mode.
    np.testing.assert_array_equal(cKDTree(modes).query(X)[1], labels)
    noise = (X - modes[labels]) / std
    assert stats.kstest(noise.ravel(), "norm").pvalue > UNLIKELY
    assert stats.chisquare(np.bincount(labels)).pvalue > UNLIKELY
    # Independent draws have uneven counts.
    assert np.ptp(np.bincount(labels)) > 0


def test_grid_of_25_is_that_of_the_protocol():
    expected = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(mode) for mode in grid_modes()} == expected


def test_ring_is_evenly_spaced():
    modes = ring_modes(8, radius=2)
    np.testing.assert_allclose(np.linalg.norm(modes, axis=1), 2, rtol=1e-14)
    side = 2 * 2 * np.sin(np.pi / 8)
    np.testing.assert_allclose(np.linalg.norm(modes - np.roll(modes, 1, axis=0), axis=1), side, rtol=1e-14)


def test_geometry_is_a_parameter():
    ring, labels = make_gaussian_ring(50, n_modes=5, radius=3, std=0, return_labels=True, random_state=0)
    np.testing.assert_array_equal(ring, ring_modes(5, radius=3)[labels])
    grid, labels = make_gaussian_grid(50, n_modes_per_side=2, spacing=6, std=0, return_labels=True, random_state=0)
    np.testing.assert_array_equal(np.abs(grid), 3)
    np.testing.assert_array_equal(grid, grid_modes(2, spacing=6)[labels])


def test_moons_lie_on_those_of_scikit_learn():
    X, labels = make_toy("moons", 2000, return_labels=True, random_state=0)
    curve, side = make_moons(4000)
    for label in (0, 1):
        distance, _ = cKDTree(curve[side == label]).query(X[labels == label])
        # Except at the four ends, the distance to the curve is that of the noise across it, |N(0, 0.05²)|.
        assert np.mean(distance**2) == pytest.approx(0.05**2, rel=0.2)
        assert distance.max() < 0.05 * 6


def test_rings_have_equal_mass_and_the_right_radii():
    X, labels = make_toy("rings", 4000, return_labels=True, random_state=0)
    # Radial noise is N(0, 0.02²), up to an effect of the curvature of 0.02² / (2 · 0.25) = 0.0008.
    assert np.abs(np.linalg.norm(X, axis=1) - (labels + 1) / 4).max() < 6 * 0.02 + 0.001
    assert stats.chisquare(np.bincount(labels, minlength=4)).pvalue > UNLIKELY
    assert stats.kstest(np.arctan2(X[:, 1], X[:, 0]), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > UNLIKELY


def test_swiss_roll_lies_on_that_of_scikit_learn():
    X, angle = make_toy("swiss_roll", 500, return_labels=True, random_state=0)
    roll = np.column_stack([angle * np.cos(angle), angle * np.sin(angle)]) / 7.5
    assert stats.kstest(30 * (X - roll).ravel(), "norm").pvalue > UNLIKELY
    np.testing.assert_array_equal(X, make_swiss_roll(500, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5)


def test_moons_are_independent_draws():
    fresh = [make_toy("moons", 300, random_state=seed) for seed in (0, 1)]
    even = [make_moons(300, noise=0.05, random_state=seed)[0] for seed in (0, 1)]
    # The counts of the two moons alone differ by about √300 rows between samples. Evenly spaced samples are 2 to 3
    # times closer to each other.
    assert wasserstein_distance(*fresh) > 1.5 * wasserstein_distance(*even)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_toy("9gaussians"), "'name' parameter of make_toy must be a str among .*Got '9gaussians'"),
        (lambda: make_toy("moons", 0), "'n_samples' parameter of make_toy"),
        (lambda: make_gaussian_ring(std=-1), "'std' parameter of make_gaussian_ring"),
        (lambda: make_gaussian_grid(n_modes_per_side=2.5), "'n_modes_per_side' parameter of make_gaussian_grid"),
    ],
)
def test_unusable_parameters_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
