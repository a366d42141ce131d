"""Maps that carry one sample onto another."""

from sklearn_ot.transport._gaussian import GaussianTransport
from sklearn_ot.transport._w2 import W2Transport

__all__ = ["GaussianTransport", "W2Transport"]
