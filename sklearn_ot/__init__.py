"""Neural optimal transport and Wasserstein generative models as scikit-learn estimators."""

from importlib.metadata import version

__version__ = version("sklearn-ot")
