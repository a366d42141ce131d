"""Torch modules: convex and plain networks, generators and critics. Nothing here knows of numpy or an estimator."""

from sklearn_ot.nn._activations import ACTIVATIONS, GroupSort
from sklearn_ot.nn._critics import DCGANCritic, LabelledCritic, MLPCritic, normalise_spectra_, with_labels
from sklearn_ot.nn._generators import DCGANGenerator, MLPGenerator
from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._mlp import MLP
from sklearn_ot.nn._pair import PotentialPair
from sklearn_ot.nn._residual import ResidualMap
from sklearn_ot.nn._subspace import SubspacePotential

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "DCGANCritic",
    "DCGANGenerator",
    "DenseICNN",
    "GroupSort",
    "LabelledCritic",
    "MLPCritic",
    "MLPGenerator",
    "PotentialPair",
    "ResidualMap",
    "SubspacePotential",
    "normalise_spectra_",
    "with_labels",
]
