"""Small estimators of each kind for the property-based tests, and what they make of rows."""

from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.adaptation import DomainAdapter
from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.transport import (
    GaussianTransport,
    LSOTTransport,
    QCTransport,
    SemiDiscreteTransport,
    W1Transport,
    W2Transport,
    WpTransport,
)

SMALL = Dense((8,))
GAME = {"generator": SMALL, "critic": SMALL, "max_iter": 2, "batch_size": 8, "random_state": 0}
GAUSSIAN = {"gaussian": GaussianTransport(), "unshrunk": GaussianTransport(shrinkage=None)}
SEMIDISCRETE = {
    "semidiscrete": SemiDiscreteTransport(tol=0.5, max_samples=2000, confidence=None, random_state=0),
    "semidiscrete-p": SemiDiscreteTransport(
        cost=1.5, tol=0.5, max_samples=2000, smoothing=0.5, confidence=None, random_state=0
    ),
}
POWERS = {
    "wp": WpTransport(max_iter=2, network=Convex((8,)), random_state=0),
    "wp-1.5": WpTransport(1.5, max_iter=2, network=Convex((8,)), early_stopping=False, random_state=0),
}
NEURAL = {
    **POWERS,
    "w2": W2Transport(max_iter=2, network=Convex((8,)), random_state=0),
    "w2gn": W2Transport("w2gn", max_iter=2, network=Convex((8, 8), "softplus"), early_stopping=False, random_state=0),
    "lsot": LSOTTransport(max_iter=2, network=Dense((8,), "silu"), random_state=0),
    "qc": QCTransport(max_iter=2, network=Dense((8,), "celu"), random_state=0),
}
W1 = {
    "w1": W1Transport(n_axes=2),
    "w1-line": W1Transport(n_axes=1, confidence=None),
    "w1-critic": W1Transport("critic", network=Dense((8,), "silu"), max_iter=2, random_state=0),
}
TRANSPORTS = GAUSSIAN | SEMIDISCRETE | NEURAL | W1
GENERATORS = {
    "gan": GAN(**GAME),
    "fgan": FGAN(**GAME),
    "wgan": WGANGenerator(**GAME),
    "cramer": CramerGAN(**GAME),
    "mmd": MMDGAN(**GAME),
    "qc-gan": WGANQC(**GAME),
    "semidiscrete-gan": SemiDiscreteOTGenerator(
        SMALL, max_iter=1, tol=1.0, n_fit_samples=100, n_fit_steps=3, random_state=0
    ),
}
ADAPTERS = {"adapter": DomainAdapter(GaussianTransport(), KNeighborsClassifier(1))}
ESTIMATORS = TRANSPORTS | GENERATORS | ADAPTERS


def images(estimator, X, Y):
    """Yield what a fitted transport makes of source rows and target rows."""
    yield estimator.transform(X)
    yield estimator.transform(Y)
    if hasattr(estimator, "inverse_transform"):
        yield estimator.inverse_transform(Y)
