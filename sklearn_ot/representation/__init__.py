"""Codes of rows, and generators in the space of codes."""

from sklearn_ot.base import publish
from sklearn_ot.representation._autoencoder import Autoencoder
from sklearn_ot.representation._pipeline import GenerativePipeline

__all__ = ["Autoencoder", "GenerativePipeline"]

publish(__name__)
