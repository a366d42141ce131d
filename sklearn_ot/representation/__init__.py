"""Codes of rows, and generators in the space of codes."""

from sklearn_ot.representation._autoencoder import Autoencoder

__all__ = ["Autoencoder"]
