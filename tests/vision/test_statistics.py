"""StatisticsTransport: statistics of the images, exact inverse, flat pictures; and the octaves."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sklearn_ot.solvers.stationary import octaves
from sklearn_ot.vision._statistics import StatisticsTransport

SHAPE = (10, 12, 3)


def pictures(n, seed, light, contrast):
    rng = np.random.RandomState(seed)
    noise = gaussian_filter(rng.randn(n, *SHAPE), (0, 1, 1, 0)) @ np.random.RandomState(9 + seed).randn(3, 3)
    own = contrast * np.exp(0.4 * rng.randn(n, 1, 1, 1))
    return (light + 0.3 * rng.randn(n, 1, 1, 3) + own * noise).reshape(n, -1)


X, Y = pictures(300, 0, 0, 1), pictures(250, 1, 2, 3)


@pytest.fixture(scope="module")
def fitted():
    return StatisticsTransport(SHAPE).fit(X, Y)


def test_statistics_of_the_images_are_those_of_the_gaussian_map(fitted):
    images, before, after = (fitted._statistics(fitted._coefficients(rows)) for rows in (fitted.transform(X), X, Y))
    np.testing.assert_allclose(images, fitted.map_.transport(before), atol=1e-8)
    np.testing.assert_allclose(images.mean(axis=0), after.mean(axis=0), atol=1e-8)


def test_distances_of_statistics_are_those_of_pixels(fitted):
    rows = X[:50]
    # Contrasts 2 % higher, in all bands and in the slopes.
    moved = 1.02 * rows
    statistics = (fitted._statistics(fitted._coefficients(part)) for part in (rows, moved))
    distances = np.square(np.subtract(*statistics)).sum(axis=1) * fitted._unit**2
    assert np.median(distances / np.square(moved - rows).sum(axis=1)) == pytest.approx(1, abs=0.3)


def test_pixels_move_no_more_than_they_need_to():
    rng = np.random.RandomState(0)
    pictures = 10 + rng.randn(400, 1, 1, 1) + 0.01 * np.exp(rng.randn(400, 1, 1, 1)) * rng.randn(400, 12, 12, 1)
    source, target = pictures[:200], 10 + 2 * (pictures[200:] - 10)
    source, target = source.reshape(200, -1), target.reshape(200, -1)
    images = StatisticsTransport((12, 12, 1)).fit(source, target).transform(source)
    expected = target.mean() + (source - source.mean()) * target.mean(axis=1).std() / source.mean(axis=1).std()
    # The contrasts are a hundredth of the differences of light: they have no effect on the map of these.
    assert np.abs(images.mean(axis=1) - expected.mean(axis=1)).max() < 0.05


def test_inverse_is_exact(fitted):
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), X, atol=1e-9)


def test_it_commutes_with_rotations_of_the_channels(fitted):
    rotation, _ = np.linalg.qr(np.random.RandomState(3).randn(3, 3))

    def rotated(rows):
        return (rows.reshape(len(rows), -1, 3) @ rotation).reshape(rows.shape)

    images = StatisticsTransport(SHAPE).fit(rotated(X), rotated(Y)).transform(rotated(X))
    np.testing.assert_allclose(images, rotated(fitted.transform(X)), atol=1e-6)


def test_copies_of_a_picture_are_not_independent():
    source, target = (np.repeat(pictures(20, seed, 0, 1), 2, axis=0) for seed in (0, 9))
    target = target.reshape(40, -1, 3) @ np.linalg.solve(*(np.random.RandomState(k).randn(3, 3) for k in (18, 9)))
    target = target.reshape(40, -1)
    copied, whole = (StatisticsTransport(SHAPE, n_copies).fit(source, target) for n_copies in (1, 2))
    # Both sides have one distribution. With a copy of each held-out picture in the fit, the noise looks like a map.
    errors = [np.linalg.norm(fit.map_.linear - np.eye(len(fit.map_.source_mean))) for fit in (whole, copied)]
    assert errors[0] < 0.7 * errors[1]


def test_equal_samples_stay_as_they_are():
    np.testing.assert_allclose(StatisticsTransport(SHAPE).fit(X, X).transform(X), X, atol=1e-8)


def test_the_images_of_grey_and_of_constant_pictures_are_finite(fitted):
    colourless = np.repeat(X.reshape(300, -1, 3)[..., :1], 3, axis=2).reshape(300, -1)
    for rows in (colourless, np.full((2, X.shape[1]), 0.3)):
        images = fitted.transform(rows)
        assert np.isfinite(images).all()
        assert np.abs(images).max() < 20 * np.abs(Y).max()


def test_units():
    scaled = StatisticsTransport(SHAPE).fit(1e-3 * X, 1e-3 * Y).transform(1e-3 * X)
    np.testing.assert_allclose(1e3 * scaled, StatisticsTransport(SHAPE).fit(X, Y).transform(X), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("least", [1, 12])
@pytest.mark.parametrize("shape", [(64, 64), (10, 12), (1, 30), (12,), (3, 2), (2, 2), (1, 1), (5,), (1,)])
def test_octaves_are_a_partition(shape, least):
    bands, n = octaves(shape, least), int(np.prod(shape))
    np.testing.assert_array_equal(np.sort(np.concatenate(bands)), np.arange(n))
    # All but the first one, unless there are too few coefficients for one band.
    assert all(len(band) >= least for band in bands[1:]) or len(bands) == 2


def test_octaves_of_a_square():
    waves = np.hypot(*np.meshgrid(np.arange(64), np.arange(64), indexing="ij")).ravel()
    ends = [(waves[band].min(), waves[band].max()) for band in octaves((64, 64))]
    np.testing.assert_array_equal([low for low, _ in ends], [0, 2, 4, 8, 16, 32])
    # The last octave has the corner.
    np.testing.assert_array_less([high for _, high in ends], [2, 4, 8, 16, 32, 90])
