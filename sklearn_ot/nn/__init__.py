"""Torch modules: convex and unconstrained networks, generators and critics."""

from sklearn_ot.nn._activations import ACTIVATIONS, GroupSort
from sklearn_ot.nn._autoencoder import EncoderDecoder, StandardCode, WithLinear
from sklearn_ot.nn._classifiers import DenseClassifier, LeNet
from sklearn_ot.nn._constants import Constants
from sklearn_ot.nn._conv_icnn import ConvICNN
from sklearn_ot.nn._cost_pair import CostPair
from sklearn_ot.nn._critics import DCGANCritic, LabelledCritic, MLPCritic, normalise_spectra_, with_labels
from sklearn_ot.nn._curvature import curvature_bound
from sklearn_ot.nn._distance_critic import DistanceCritic
from sklearn_ot.nn._fitted import FittedGenerator, FittedMap, InverseChain, Inversion
from sklearn_ot.nn._generators import DCGANGenerator, MLPGenerator
from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._lifted import LiftedPotential
from sklearn_ot.nn._maps import (
    Affine,
    AlongAxes,
    Chain,
    CosineAffine,
    CosineTransform,
    FromUnits,
    Method,
    ScalarFunction,
    ToUnits,
    WithinLimits,
)
from sklearn_ot.nn._mlp import MLP
from sklearn_ot.nn._patches import PatchPotential
from sklearn_ot.nn._potentials import (
    ConvexPair,
    DisplacementPotential,
    HalfSquare,
    PotentialPair,
    PotentialsAndMap,
    WithRim,
)
from sklearn_ot.nn._rays import RayDistributions
from sklearn_ot.nn._residual import ResidualMap
from sklearn_ot.nn._units_potential import UnitsPotential

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Affine",
    "AlongAxes",
    "Chain",
    "Constants",
    "ConvICNN",
    "ConvexPair",
    "CosineAffine",
    "CosineTransform",
    "CostPair",
    "DCGANCritic",
    "DCGANGenerator",
    "DenseClassifier",
    "DenseICNN",
    "DisplacementPotential",
    "DistanceCritic",
    "EncoderDecoder",
    "FittedGenerator",
    "FittedMap",
    "FromUnits",
    "GroupSort",
    "HalfSquare",
    "InverseChain",
    "Inversion",
    "LabelledCritic",
    "LeNet",
    "LiftedPotential",
    "MLPCritic",
    "MLPGenerator",
    "Method",
    "PatchPotential",
    "PotentialPair",
    "PotentialsAndMap",
    "RayDistributions",
    "ResidualMap",
    "ScalarFunction",
    "StandardCode",
    "ToUnits",
    "UnitsPotential",
    "WithLinear",
    "WithRim",
    "WithinLimits",
    "curvature_bound",
    "normalise_spectra_",
    "with_labels",
]
