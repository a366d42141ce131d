"""Neural optimal transport and Wasserstein generative models as scikit-learn estimators.

Every estimator can be imported from here, ``from sklearn_ot import W2Transport``, and every part is an attribute,
``sklearn_ot.metrics``. Both are loaded when they are first asked for: importing the package alone loads nothing.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("sklearn-ot")

PARTS = (
    "adaptation",
    "base",
    "certificates",
    "checks",
    "datasets",
    "exceptions",
    "generation",
    "io",
    "metrics",
    "nets",
    "networks",
    "nn",
    "objectives",
    "plotting",
    "representation",
    "solvers",
    "streams",
    "transport",
    "vision",
)
ESTIMATORS = {
    "ClassifierFeatures": "adaptation",
    "DomainAdapter": "adaptation",
    "DomainAdapterCV": "adaptation",
    "LabelAwareTransport": "adaptation",
    "CramerGAN": "generation",
    "FGAN": "generation",
    "GAN": "generation",
    "MMDGAN": "generation",
    "SemiDiscreteOTGenerator": "generation",
    "TableGenerator": "generation",
    "W2Generator": "generation",
    "WGANGenerator": "generation",
    "WGANQC": "generation",
    "Autoencoder": "representation",
    "GenerativePipeline": "representation",
    "GaussianTransport": "transport",
    "LSOTTransport": "transport",
    "PatchTransport": "transport",
    "QCTransport": "transport",
    "SemiDiscreteTransport": "transport",
    "StationaryGaussianTransport": "transport",
    "W1Transport": "transport",
    "WpTransport": "transport",
    "W2Transport": "transport",
    "W2TransportCV": "transport",
    "ColorTransfer": "vision",
    "ImageTranslator": "vision",
}

__all__ = [*ESTIMATORS, *PARTS, "__version__"]


def __getattr__(name):
    if name in PARTS:
        return import_module(f"sklearn_ot.{name}")
    if name in ESTIMATORS:
        return getattr(import_module(f"sklearn_ot.{ESTIMATORS[name]}"), name)
    raise AttributeError(f"module 'sklearn_ot' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
