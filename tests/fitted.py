"""A small instance of every public estimator that is a map or a generator, with the arguments of its fit."""

import copy
import warnings
from functools import cache

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from sklearn_ot import (
    FGAN,
    GAN,
    MMDGAN,
    WGANQC,
    Autoencoder,
    ClassifierFeatures,
    CramerGAN,
    GaussianTransport,
    GenerativePipeline,
    ImageTranslator,
    LabelAwareTransport,
    LSOTTransport,
    PatchTransport,
    QCTransport,
    SemiDiscreteOTGenerator,
    SemiDiscreteTransport,
    StationaryGaussianTransport,
    W1Transport,
    W2Generator,
    W2Transport,
    W2TransportCV,
    WGANGenerator,
    WpTransport,
)
from sklearn_ot.networks import Convex, ConvexConvolutional, Convolutional, Dense

RNG = np.random.RandomState(0)
X = RNG.randn(60, 3) * [1, 2, 0.5] + [5, 0, 1]
Y = np.sinh(RNG.randn(50, 3)) @ [[1, 0.3, 0], [0, 1, 0.2], [0.1, 0, 2]] + 2
CLASSES = (X[:, 0] > 5).astype(int)
PICTURES, OTHERS = RNG.rand(30, 4 * 4 * 2), RNG.rand(30, 4 * 4 * 2) ** 2
SHORT = {"max_iter": 3, "random_state": 0}
SMALL, BOUNDED = Dense((8,), "silu"), Dense((8,), "silu", output_activation="tanh")
GAME = {"generator": SMALL, "critic": SMALL, "max_iter": 2, "batch_size": 8, "random_state": 0}
FEW_ROWS = {"tol": 0.5, "max_samples": 2000, "confidence": None, "random_state": 0}
W2 = W2Transport(network=Convex((8,)), plan_size=0, **SHORT)

# An estimator for each cell of the table, and its arguments of fit. A new public estimator is added here, or below.
PAIR, WIDE = ((X, Y), {}), ((PICTURES, OTHERS), {})
CASES = {
    "GaussianTransport": (GaussianTransport(), PAIR),
    "StationaryGaussianTransport": (StationaryGaussianTransport((4, 4, 2)), WIDE),
    "PatchTransport": (PatchTransport((4, 4, 2), W2, n_patches=200, patch_size=2, random_state=0), WIDE),
    "W2Transport": (W2, PAIR),
    "W2Transport, plan": (W2Transport(network=Convex((8, 8), "softplus", rank=1), **SHORT), PAIR),
    "W2Transport, w2gn": (W2Transport("w2gn", network=Convex((8,), "celu"), plan_size=0, **SHORT), PAIR),
    "W2Transport, constant column": (W2, ((X * [1, 1, 0], Y), {})),
    "W2Transport, pictures": (
        W2Transport(network=ConvexConvolutional((4, 4, 2), (4,), 3), plan_size=0, **SHORT),
        WIDE,
    ),
    "W2TransportCV": (W2TransportCV(W2, regs=(0, 1), cv=2, random_state=0), PAIR),
    "LSOTTransport": (LSOTTransport(network=SMALL, **SHORT), PAIR),
    "QCTransport": (QCTransport(network=SMALL, **SHORT), PAIR),
    "SemiDiscreteTransport": (SemiDiscreteTransport(**FEW_ROWS), PAIR),
    "SemiDiscreteTransport, barycentres": (
        SemiDiscreteTransport(
            "normal", cost=1.5, tol=0.5, max_samples=2000, smoothing=1, confidence=None, random_state=0
        ),
        ((Y,), {}),
    ),
    "SemiDiscreteTransport, one column": (
        SemiDiscreteTransport(**FEW_ROWS),
        ((X[:, :1], Y[:, :1]), {}),
    ),
    "W1Transport": (W1Transport(confidence=None, n_axes=2), PAIR),
    "W1Transport, line": (W1Transport(confidence=None, n_axes=1), PAIR),
    "W1Transport, critic": (W1Transport("critic", network=SMALL, confidence=None, **SHORT), PAIR),
    "WpTransport": (WpTransport(3, network=Convex((8,)), **SHORT), PAIR),
    "WpTransport, the other order": (WpTransport(1.5, network=Convex((8,)), **SHORT), ((Y, X), {})),
    "LabelAwareTransport": (LabelAwareTransport(n_rounds=2), ((X, CLASSES), {"X_target": Y})),
    "ClassifierFeatures": (ClassifierFeatures(SMALL, batch_size=8, **SHORT), ((X, CLASSES), {})),
    "Autoencoder": (Autoencoder(2, network=SMALL, batch_size=8, **SHORT), ((X,), {})),
    "Autoencoder, bounded": (Autoencoder(2, network=BOUNDED, batch_size=8, **SHORT), ((X * [1, 0, 1],), {})),
    "ImageTranslator": (
        ImageTranslator(PatchTransport(transport=GaussianTransport(), n_patches=200), image_shape=(4, 4, 2)),
        WIDE,
    ),
}
GENERATORS = {
    "WGANGenerator": (WGANGenerator(match_moments=True, **GAME), ((X,), {})),
    "WGANGenerator, classes": (WGANGenerator(**GAME), ((X * [1, 0, 1], CLASSES), {})),
    "WGANGenerator, images": (
        WGANGenerator(**{**GAME, "generator": Convolutional(2), "critic": Convolutional(2)}),
        ((RNG.rand(10, 28 * 28),), {}),
    ),
    "CramerGAN": (CramerGAN(**GAME), ((X,), {})),
    "MMDGAN": (MMDGAN(**GAME), ((X,), {})),
    "WGANQC": (WGANQC(**GAME), ((X,), {})),
    "GAN": (GAN(**GAME), ((X,), {})),
    "FGAN": (FGAN(**{**GAME, "generator": BOUNDED}), ((X,), {})),
    "SemiDiscreteOTGenerator": (
        SemiDiscreteOTGenerator(SMALL, max_iter=1, tol=1.0, n_fit_samples=100, n_fit_steps=3, random_state=0),
        ((X,), {}),
    ),
    "W2Generator": (W2Generator(transport=W2, random_state=0), ((X * [1, 1, 0],), {})),
    "W2Generator, mixture": (W2Generator(GaussianMixture(2), transport=W2, random_state=0), ((X,), {})),
    "GenerativePipeline": (
        GenerativePipeline(
            [("scale", StandardScaler()), ("pca", PCA(2, whiten=True)), ("noise", W2Generator(transport=W2))]
        ),
        ((X,), {}),
    ),
}
# Public estimators without a module, and the reason.
WITHOUT = {
    "DomainAdapter": "predicts by an estimator of scikit-learn; its transports_ have modules",
    "DomainAdapterCV": "predicts by an estimator of scikit-learn; the transports_ of its candidates have modules",
    "TableGenerator": "samples have categories and missing entries; its generator_ has a module",
    "ColorTransfer": "a result depends on the whole picture; its transport_ has a module, and to_cube writes colours",
}


@cache
def fitted(name):
    estimator, (arguments, keywords) = {**CASES, **GENERATORS}[name]
    with warnings.catch_warnings():
        # The fits are short, and stop early.
        warnings.simplefilter("ignore")
        return copy.deepcopy(estimator).fit(*arguments, **keywords)
