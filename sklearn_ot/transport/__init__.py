"""Maps that carry one sample onto another."""

from sklearn_ot.base import publish
from sklearn_ot.transport._gaussian import GaussianTransport
from sklearn_ot.transport._lsot import LSOTTransport
from sklearn_ot.transport._patch import PatchTransport
from sklearn_ot.transport._qc import QCTransport
from sklearn_ot.transport._semidiscrete import SemiDiscreteTransport
from sklearn_ot.transport._stationary import StationaryGaussianTransport
from sklearn_ot.transport._w1 import W1Transport
from sklearn_ot.transport._w2 import W2Transport
from sklearn_ot.transport._w2_cv import W2TransportCV
from sklearn_ot.transport._wp import WpTransport

__all__ = [
    "GaussianTransport",
    "LSOTTransport",
    "PatchTransport",
    "QCTransport",
    "SemiDiscreteTransport",
    "StationaryGaussianTransport",
    "W1Transport",
    "W2Transport",
    "W2TransportCV",
    "WpTransport",
]

publish(__name__)
