"""QCTransport; test_neural.py has the properties of all transports with networks."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.networks import Dense
from sklearn_ot.transport import GaussianTransport, QCTransport

SHORT = {"network": Dense((32, 32), "silu"), "max_iter": 300, "batch_size": 64, "random_state": 0}


def short_fit(Xs, Xt, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return QCTransport(**{**SHORT, **parameters}).fit(Xs, Xt)


def test_known_potential_map():
    """On new points, the error against the true map is far smaller than that of the Gaussian map (24 %)."""
    pair = make_potential_pair(2, n_samples=4000, random_state=0)
    transport = short_fit(pair.source, pair.target)
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(2000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.4 * l2_uvp(gaussian.transform(X), Y)
    assert transport.score(X, X_target=Y) > 0.5 * gaussian.score(X, X_target=Y)


def test_gaussian_pair():
    """The start is the solution, so the error is the blur of plans between batches."""
    pair = make_gaussian_pair(2, n_samples=4000, random_state=0)
    transport = short_fit(pair.source, pair.target)
    X = pair.sample_source(2000, random_state=1)
    assert l2_uvp(transport.transform(X), pair.transport(X)) < 4


def test_the_map_is_a_gradient():
    """In balanced coordinates the Jacobian of the map is symmetric."""
    pair = make_potential_pair(2, n_samples=1000, random_state=0)
    transport = short_fit(pair.source, pair.target, max_iter=100)
    centre, step = transport.coordinates_.to_source(np.zeros((1, 2))), 1e-4
    corners = transport.coordinates_.to_source(step * np.vstack([np.eye(2), -np.eye(2)]))
    images = transport.coordinates_.of_target(transport.transform(corners))
    jacobian = (images[:2] - images[2:]) / (2 * step)
    assert jacobian[0, 1] == pytest.approx(jacobian[1, 0], abs=1e-6)
    assert abs(jacobian[0, 1]) > 1e-3
    assert np.isfinite(transport.transform(centre)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"reg": -1}, "'reg' parameter of QCTransport must be"),
        ({"network": Dense(activation="relu")}, 'activation "relu" jumps: use "silu", "celu" or "softplus"'),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        QCTransport(**parameters).fit(np.eye(3), np.eye(3))
