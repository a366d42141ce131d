"""`W2Transport` with a convolutional network: maps of pictures, which start at the stationary Gaussian map."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.networks import Convex, ConvexConvolutional
from sklearn_ot.nn import ConvICNN
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates
from sklearn_ot.transport import GaussianTransport, LSOTTransport, StationaryGaussianTransport, W2Transport, WpTransport

SHAPE = (6, 7, 3)
NETWORK = ConvexConvolutional(SHAPE, (8, 8), kernel_size=3)
SLOPES = 1.5 * np.random.RandomState(3).randn(4, 3)


def pictures(n, seed, shape=SHAPE):
    """Smooth pictures."""
    rng = np.random.RandomState(seed)
    return gaussian_filter(2 * rng.randn(n, *shape), (0, 0.7, 0.7, 0)).reshape(n, -1)


def true_map(X):
    """The gradient of a convex function of the colours of each place, which has no other network's shape."""
    colours = X.reshape(-1, 3)
    return (0.3 * colours + softmax(colours @ SLOPES.T, axis=1) @ SLOPES).reshape(X.shape)


def unexplained(transport, X):
    """The L2-UVP of a map on rows, in per cent."""
    return 100 * np.mean(np.sum((transport.transform(X) - true_map(X)) ** 2, axis=1)) / true_map(X).var(axis=0).sum()


def fit(Xs, Xt, **parameters):
    parameters = {"network": NETWORK, "batch_size": 64, "max_iter": 200, "random_state": 0, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return W2Transport(**parameters).fit(Xs, Xt)


@pytest.fixture(scope="module")
def samples():
    return pictures(1000, 0), true_map(pictures(1000, 1))


@pytest.fixture(scope="module")
def fitted(samples):
    return fit(*samples)


def test_a_known_map_is_learned(samples, fitted):
    """On new pictures, from 1000 independent pictures of each side; the map has no network's shape."""
    X = pictures(500, 2)
    errors = [unexplained(cls.fit(*samples), X) for cls in (GaussianTransport(), StationaryGaussianTransport(SHAPE))]
    assert unexplained(fitted, X) < 0.4 * min(errors)
    assert not fitted.is_gaussian_


def test_starts_at_the_stationary_gaussian_map(samples):
    transport, stationary = fit(*samples, max_iter=0), StationaryGaussianTransport(SHAPE).fit(*samples)
    X = samples[0][:20]
    assert isinstance(transport.coordinates_, StationaryCoordinates)
    # The root of the quadratic term of the network is computed in float32.
    np.testing.assert_allclose(transport.transform(X), stationary.transform(X), atol=1e-5)
    np.testing.assert_allclose(transport.inverse_transform(X), stationary.inverse_transform(X), atol=1e-3)
    np.testing.assert_allclose(transport.potential(X), stationary.potential(X), rtol=1e-5, atol=1e-4)


def test_another_network_has_balanced_coordinates(samples):
    transport, gaussian = fit(*samples, network=Convex((8,)), max_iter=0), GaussianTransport().fit(*samples)
    np.testing.assert_allclose(transport.transform(samples[0][:5]), gaussian.transform(samples[0][:5]), atol=1e-5)


def test_falls_back_to_the_stationary_gaussian_map(samples):
    """Between samples of one distribution no map is better than a linear one."""
    X, Y = samples[0], pictures(1000, 5)
    transport, stationary = fit(X, Y, max_iter=100), StationaryGaussianTransport(SHAPE).fit(X, Y)
    assert transport.is_gaussian_
    np.testing.assert_allclose(transport.transform(X[:5]), stationary.transform(X[:5]), atol=1e-5)


def test_the_inverse_is_exact(samples, fitted):
    X = samples[0][:50]
    preimages, residual = fitted.inverse_transform(fitted.transform(X), return_residual=True)
    # Residuals of the search, 1e-4 in coordinates with variance 1, times the stretch of the inverse.
    assert residual.max() < 5e-3
    np.testing.assert_allclose(preimages, X, atol=0.02)


def test_transform_is_the_gradient_of_the_potential(samples, fitted):
    X = samples[0][:20]
    V = np.random.RandomState(0).standard_normal(X.shape)
    slope = (fitted.potential(X + 1e-4 * V) - fitted.potential(X - 1e-4 * V)) / 2e-4
    # The activation has jumps of its curvature, which these differences see.
    np.testing.assert_allclose(slope, np.sum(fitted.transform(X) * V, axis=1), rtol=1e-4, atol=1e-4)


def test_dual_value_is_higher_than_that_of_the_start_and_below_the_truth(fitted):
    X, Y = pictures(300, 7), true_map(pictures(300, 7))
    start = fit(X, Y, max_iter=0)
    truth = np.mean(np.sum((X - Y) ** 2, axis=1)) / 2
    assert start.dual_value(X, Y) < fitted.dual_value(X, Y) < truth
    assert fitted.wasserstein_distance_ == pytest.approx(np.sqrt(2 * truth), rel=0.05)


def test_certificate_estimates_and_has_no_bound_of_the_map(fitted):
    certificate = fitted.certificate(pictures(200, 8), true_map(pictures(200, 9)))
    assert certificate["distance"].low <= certificate["distance"].high
    assert np.isfinite(certificate["map_error"].estimate)
    assert certificate["stretch"].estimate > 0
    assert certificate["stretch"].high is None


def test_copies_are_equal_bit_for_bit(samples, fitted):
    X = samples[0][:10]
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(copied.inverse_transform(X), fitted.inverse_transform(X))
    assert clone(fitted).get_params()["network__image_shape"] == SHAPE


def test_warm_start_goes_on(samples):
    transport = fit(*samples, max_iter=20, warm_start=True)
    coordinates, n_iter = transport.coordinates_, transport.n_iter_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        transport.fit(*samples)
    assert transport.coordinates_ is coordinates
    assert transport.n_iter_ == 2 * n_iter
    with pytest.raises(ValueError, match="n_channels"):
        transport.set_params(network__n_channels=(4,)).fit(*samples)


@pytest.mark.parametrize("solver", ["w2gn", "minimax", "minimax-v1", "expectile"])
def test_other_solvers_run(samples, solver):
    transport = fit(*samples, solver=solver, max_iter=20)
    X = samples[0][:5]
    assert transport.transform(X).shape == X.shape
    assert np.isfinite(transport.inverse_transform(transport.transform(X))).all()
    assert all(isinstance(network, ConvICNN) for network in transport.net_.module_.children())


def test_a_picture_far_out_does_no_harm(samples):
    X, Y = (sample.copy() for sample in samples)
    X[0] *= 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        transport, start = fit(X, Y, max_iter=20), StationaryGaussianTransport(SHAPE).fit(X, Y)
    # No image is farther out than those of the stationary Gaussian map, by more than a tenth.
    sizes = [np.linalg.norm(t.transform(X[:1]) - Y.mean(axis=0)) for t in (transport, start)]
    assert sizes[0] < 1.2 * sizes[1]


def test_the_target_may_be_the_standard_normal_distribution(samples):
    transport = fit(samples[0], None, max_iter=20)
    generated = transport.inverse_transform(np.random.RandomState(0).standard_normal((500, samples[0].shape[1])))
    # Means of 500 rows with variances of about 1, and means of all their pixels.
    np.testing.assert_allclose(generated.mean(axis=0), samples[0].mean(axis=0), atol=0.25)
    assert generated.var() == pytest.approx(samples[0].var(), rel=0.1)


def test_weights_of_rows_are_taken(samples):
    X, Y = samples
    weight = np.random.RandomState(0).exponential(size=len(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        transport = W2Transport(network=NETWORK, max_iter=20, random_state=0).fit(X, X_target=Y, sample_weight=weight)
    assert unexplained(transport, X) < 100


@pytest.mark.parametrize(
    ("transport", "message"),
    [
        (W2Transport(network=ConvexConvolutional((6, 7))), r"A row of 126 features is not a picture of shape \(6, 7\)"),
        (WpTransport(network=NETWORK), r"WpTransport has no networks of pictures"),
        (LSOTTransport(network=NETWORK), "cannot be the function"),
    ],
)
def test_what_cannot_be_done_is_refused(samples, transport, message):
    with pytest.raises(ValueError, match=message):
        transport.fit(*samples)


def test_no_matrix_of_all_columns(measured):
    """Pictures of 64 x 64 x 3, where a matrix of 12 288 columns would have 576 MiB in float32."""
    code = """
from sklearn_ot.networks import ConvexConvolutional
Xs, Xt = normal(60, 12288), normal(60, 12288)
start = peak()
network = ConvexConvolutional((64, 64, 3), (4, 4))
transport = W2Transport(network=network, max_iter=2, batch_size=8, random_state=0).fit(Xs, Xt)
transport.inverse_transform(transport.transform(Xs[:4]))
print(peak() - start)
"""
    assert next(measured(code)) < 400
