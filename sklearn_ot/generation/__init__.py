"""Generators: estimators that draw new rows with the distribution of their training rows."""

from sklearn_ot.base import publish
from sklearn_ot.generation._cramer import CramerGAN
from sklearn_ot.generation._fgan import FGAN, GAN
from sklearn_ot.generation._mmd import MMDGAN
from sklearn_ot.generation._semidiscrete import SemiDiscreteOTGenerator
from sklearn_ot.generation._table import TableGenerator
from sklearn_ot.generation._w2 import W2Generator
from sklearn_ot.generation._wgan import WGANGenerator
from sklearn_ot.generation._wgan_qc import WGANQC

__all__ = [
    "FGAN",
    "GAN",
    "MMDGAN",
    "WGANQC",
    "CramerGAN",
    "SemiDiscreteOTGenerator",
    "TableGenerator",
    "W2Generator",
    "WGANGenerator",
]

publish(__name__)
