import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sklearn_ot.transport import GaussianTransport, StationaryGaussianTransport

SHAPE = (6, 5, 3)


def pictures(n, seed, width=0.7, shape=SHAPE):
    """Smooth pictures with channels that depend on each other."""
    rng = np.random.RandomState(seed)
    noise = gaussian_filter(rng.randn(n, *shape), (0, width, width, 0)[: 1 + len(shape)])
    return (noise @ np.random.RandomState(7 + seed).randn(shape[-1], shape[-1]) + seed).reshape(n, -1)


@pytest.fixture(scope="module")
def fitted():
    return StationaryGaussianTransport(SHAPE).fit(pictures(300, 0), pictures(200, 1, 0.8))


def test_moments_of_the_images(fitted):
    X, Y = pictures(300, 0), pictures(200, 1, 0.8)
    mapped = fitted.transform(X)
    np.testing.assert_allclose(mapped.mean(axis=0), Y.mean(axis=0), atol=1e-12)
    # The map reaches all variances of frequencies, and so their sum.
    assert mapped.var(axis=0).sum() == pytest.approx(Y.var(axis=0).sum(), rel=1e-10)
    assert fitted.wasserstein_distance_ == pytest.approx(np.sqrt(np.mean(np.sum((mapped - X) ** 2, axis=1))), rel=1e-10)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_inverse_and_dtype(fitted, dtype, atol):
    X = pictures(20, 0).astype(dtype)
    mapped = fitted.transform(X)
    assert mapped.dtype == dtype
    np.testing.assert_allclose(fitted.inverse_transform(mapped), X, atol=atol)


def test_potential_has_the_map_as_its_gradient(fitted):
    X, step = pictures(3, 0), 1e-4 * np.random.RandomState(0).randn(3, np.prod(SHAPE))
    change = fitted.potential(X + step) - fitted.potential(X - step)
    # The potential is quadratic, so that central differences are exact up to rounding.
    np.testing.assert_allclose(change, 2 * np.sum(fitted.transform(X) * step, axis=1), rtol=1e-6)
    assert fitted.potential(fitted.source_mean_[None])[0] == 0


def test_it_commutes_with_reflections_and_units():
    def flipped(rows):
        return rows.reshape(-1, *SHAPE)[:, ::-1, ::-1].reshape(len(rows), -1)

    X, Y = pictures(60, 0), pictures(50, 1)
    images = StationaryGaussianTransport(SHAPE).fit(X, Y).transform(X)
    turned = StationaryGaussianTransport(SHAPE).fit(flipped(X), flipped(Y)).transform(flipped(X))
    np.testing.assert_allclose(turned, flipped(images), atol=1e-10)
    for unit in (1e-8, 1e8):
        scaled = StationaryGaussianTransport(SHAPE).fit(unit * X, unit * Y).transform(unit * X)
        np.testing.assert_allclose(scaled, unit * images, rtol=1e-7, atol=1e-9 * unit)


def test_weights_are_repeated_rows():
    X, Y = pictures(40, 0), pictures(30, 1)
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    weighted = StationaryGaussianTransport(SHAPE).fit(X, Y, sample_weight=weight)
    repeated = StationaryGaussianTransport(SHAPE).fit(np.repeat(X, weight, axis=0), Y)
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-10)


def test_series_have_one_channel():
    X, Y = np.random.RandomState(0).randn(100, 12), 2 * np.random.RandomState(1).randn(90, 12)
    expected = StationaryGaussianTransport((12, 1, 1)).fit(X, Y).transform(X)
    for shape in (None, (12,), (1, 12)):
        np.testing.assert_allclose(StationaryGaussianTransport(shape).fit(X, Y).transform(X), expected, atol=1e-12)
    whitened = StationaryGaussianTransport(smoothing=1).fit(X).transform(X)
    assert whitened.var(axis=0).sum() == pytest.approx(12, rel=1e-10)


def test_few_pictures_give_a_better_map_than_one_matrix_of_all_pixels():
    X, Y, fresh = pictures(50, 0), pictures(50, 1, 1.2), pictures(200, 0)
    truth = GaussianTransport().fit(pictures(50_000, 0), pictures(50_000, 1, 1.2)).transform(fresh)
    errors = [
        np.mean((transport.fit(X, Y).transform(fresh) - truth) ** 2)
        for transport in (StationaryGaussianTransport(SHAPE), GaussianTransport())
    ]
    assert errors[0] < 0.7 * errors[1]


def test_large_pictures_are_fast():
    shape = (64, 64, 3)
    X, Y = pictures(200, 0, 2, shape), pictures(200, 1, 3, shape)
    start = time.process_time()
    StationaryGaussianTransport(shape).fit(X, Y).transform(X)
    # 12 288 columns, where one matrix has 1.2 gigabytes.
    assert time.process_time() - start < 15


def test_grey_pictures_warn():
    grey = np.repeat(pictures(60, 0, shape=(6, 5, 1)).reshape(60, 6, 5, 1), 3, axis=3).reshape(60, -1)
    with pytest.warns(UserWarning, match=r"\d\d % of the variance of the target .* such as the colours of grey"):
        transport = StationaryGaussianTransport(SHAPE).fit(grey, pictures(60, 1))
    assert np.abs(transport.transform(grey)).max() < 100


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6, 5, 2), r"A row of 90 features is not a picture of shape \(6, 5, 2\)"),
        ((2, 3, 5, 3), r"image_shape=\(2, 3, 5, 3\): give \(height, width, n_channels\)"),
        ((6, -5, -3), "with whole numbers above 0"),
        ((90.0,), "with whole numbers above 0"),
        ((), "with whole numbers above 0"),
        ([6, 5, 3], "The 'image_shape' parameter"),
    ],
)
def test_unusable_shapes(shape, message):
    with pytest.raises(ValueError, match=message):
        StationaryGaussianTransport(shape).fit(pictures(10, 0), pictures(10, 1))
