"""PatchTransport: a potential that is a sum over patches, its inverse, and the patches it is fitted on."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from sklearn_ot.networks import Convex, ConvexConvolutional, Dense
from sklearn_ot.transport import GaussianTransport, LSOTTransport, PatchTransport, W2Transport

SHAPE = (12, 8, 3)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pictures(n, seed, power=1.0, shape=SHAPE):
    """Smooth pictures; with a power above 1 the distribution of a pixel has long tails."""
    noise = gaussian_filter(np.random.RandomState(seed).randn(n, *shape), (0, 0.7, 0.7, 0))
    return np.sign(noise) * np.abs(noise) ** power


def flat(pictures):
    return pictures.reshape(len(pictures), -1)


X, Y = flat(pictures(200, 0)) + 1, 3 * flat(pictures(150, 1, 2))
SHORT = W2Transport(max_iter=40, network=Convex((16, 16)), plan_size=500, random_state=0)


@pytest.fixture(scope="module")
def fitted():
    return PatchTransport(SHAPE, SHORT, n_patches=3000, random_state=0).fit(X, Y)


def test_pixels_of_the_images_have_the_distribution_of_the_target():
    source, target, fresh = (flat(pictures(300, seed, power, (96, 1, 1))) for seed, power in ((0, 1), (1, 2), (2, 1)))
    network = W2Transport(max_iter=150, network=Convex((16,)), random_state=0)

    def distance(transport):
        series = PatchTransport(transport=transport, patch_size=5, n_patches=3000, random_state=0).fit(source, target)
        return wasserstein_distance(series.transform(fresh).ravel(), target.ravel())

    # The tails of the target are long, which no affine map makes of normal pixels.
    assert distance(network) < 0.7 * distance(GaussianTransport())


@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-3), (np.float32, 1e-3)])
def test_inverse(fitted, dtype, tol):
    rows = X[:50].astype(dtype)
    images = fitted.transform(rows)
    back, residual = fitted.inverse_transform(images, return_residual=True)
    assert images.dtype == back.dtype == dtype
    # conjugate_tol is a residual for each pixel; preimages are as exact up to the least stretch of the map.
    assert np.sqrt(np.mean((back - rows) ** 2)) < tol * rows.std()
    assert residual.max() < 1e-3 * np.linalg.norm(rows, axis=1).mean()


def test_potential_has_the_map_as_its_gradient(fitted):
    step = 1e-5 * np.random.RandomState(0).randn(20, X.shape[1])
    change = fitted.potential(X[:20] + step) - fitted.potential(X[:20] - step)
    # Central differences of a function of size 100 with steps of 1e-4 have rounding errors of 1e-12.
    np.testing.assert_allclose(change, 2 * np.sum(fitted.transform(X[:20]) * step, axis=1), rtol=1e-6, atol=1e-10)


def test_the_map_is_optimal_between_the_source_and_its_images(fitted):
    images = fitted.transform(X)
    cost = np.sum((images - X) ** 2, axis=1).mean() / 2
    # Searches end at conjugate_tol, which can only lower the dual value.
    assert fitted.dual_value(X, images) == pytest.approx(cost, rel=1e-4)
    assert fitted.wasserstein_distance_ == pytest.approx(np.sqrt(2 * cost), rel=0.05)


def test_affine_map_of_patches_of_one_pixel_is_the_gaussian_map_of_colours():
    pixels, target = X.reshape(-1, 3), Y.reshape(-1, 3)
    # All pixels are drawn, many times.
    transport = PatchTransport(SHAPE, GaussianTransport(), patch_size=1, n_patches=200_000, random_state=0).fit(X, Y)
    colours = GaussianTransport().fit(pixels, target)
    np.testing.assert_allclose(transport.transform(X).reshape(-1, 3), colours.transform(pixels), atol=0.1)


def test_weights_are_numbers_of_equal_pictures():
    # Two kinds of pictures, so that the weights change the moments.
    rows = np.concatenate([X[:100], 5 * X[100:] + 3])
    weight = np.repeat([1, 9], 100)
    transport = PatchTransport(SHAPE, GaussianTransport(), n_patches=2000, random_state=0)
    weighted = transport.fit(rows, X_target=Y, sample_weight=weight).transform(X)
    repeated = transport.fit(np.repeat(rows, weight, axis=0), Y).transform(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-8)
    assert np.abs(transport.fit(rows, Y).transform(X) - repeated).max() > 0.1


def test_units():
    transport = PatchTransport(SHAPE, GaussianTransport(), n_patches=2000, random_state=0)
    images = transport.fit(X, Y).transform(X)
    scaled = transport.fit(1e-6 * X, 1e3 * Y).transform(1e-6 * X)
    np.testing.assert_allclose(scaled, 1e3 * images, rtol=1e-6, atol=1e-6)


def test_patches_can_be_small_pictures_with_a_convolutional_network():
    network = ConvexConvolutional((4, 4, 3), (4,), kernel_size=3)
    patches = W2Transport(max_iter=5, network=network, early_stopping=False, random_state=0)
    transport = PatchTransport(SHAPE, patches, n_patches=200, random_state=0).fit(X, Y)
    images = transport.transform(X[:5])
    np.testing.assert_allclose(transport.inverse_transform(images), X[:5], atol=1e-2)
    assert transport.dual_value(X, transport.transform(X)) == pytest.approx(
        transport.wasserstein_distance_**2 / 2, rel=0.1
    )


def test_series_and_no_target():
    series = gaussian_filter(np.random.RandomState(0).randn(300, 40), (0, 1)) + 2
    transport = PatchTransport(transport=GaussianTransport(), random_state=0).fit(series)
    whitened = transport.transform(series)
    # The patches of 4 numbers become white, their mean over all places is nearly so.
    assert abs(whitened.mean()) < 0.05
    assert whitened.std() == pytest.approx(1, abs=0.2)


def test_pickle_and_certificate(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    certificate = fitted.certificate(flat(pictures(120, 4)) + 1, 3 * flat(pictures(120, 5, 2)), plan_size=100)
    assert certificate["distance"].low < certificate["distance"].high
    assert certificate["stretch"].high is None


@pytest.mark.parametrize(
    ("transport", "match"),
    [
        (PatchTransport((5, 5)), "is not a picture"),
        (PatchTransport(SHAPE, stride=3), "stride=3 must divide"),
        (PatchTransport(SHAPE, reduction=8), "reduction=8 must divide"),
        (PatchTransport(SHAPE, LSOTTransport(network=Dense((8,), "silu"), max_iter=1)), "has no convex potential"),
    ],
)
def test_bad_parameters(transport, match):
    with pytest.raises(ValueError, match=match):
        transport.fit(X[:20], Y[:20])
    assert not hasattr(transport, "transport_")
