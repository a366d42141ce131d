"""Torch modules: convex and plain networks. Nothing here knows of numpy, skorch or an estimator."""

from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._mlp import MLP
from sklearn_ot.nn._pair import PotentialPair
from sklearn_ot.nn._residual import ResidualMap

__all__ = ["MLP", "DenseICNN", "PotentialPair", "ResidualMap"]
