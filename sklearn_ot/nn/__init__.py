"""Torch modules: convex and plain networks, generators. Nothing here knows of numpy, skorch or an estimator."""

from sklearn_ot.nn._generators import DCGANGenerator, MLPGenerator
from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._mlp import MLP
from sklearn_ot.nn._pair import PotentialPair
from sklearn_ot.nn._residual import ResidualMap

__all__ = ["MLP", "DCGANGenerator", "DenseICNN", "MLPGenerator", "PotentialPair", "ResidualMap"]
