"""Torch modules: input-convex networks. Nothing here knows of numpy, skorch or an estimator."""

from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._pair import PotentialPair

__all__ = ["DenseICNN", "PotentialPair"]
