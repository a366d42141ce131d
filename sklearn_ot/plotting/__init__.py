"""Displays, as in scikit-learn, of maps, cells, certificates, generators, critics, copies and training."""

from sklearn_ot.plotting._cells import CellsDisplay
from sklearn_ot.plotting._certificates import CertificateDisplay
from sklearn_ot.plotting._copying import CopyingDisplay
from sklearn_ot.plotting._generators import CriticDisplay, GeneratorDisplay
from sklearn_ot.plotting._history import HistoryDisplay
from sklearn_ot.plotting._transports import TransportDisplay

__all__ = [
    "CellsDisplay",
    "CertificateDisplay",
    "CopyingDisplay",
    "CriticDisplay",
    "GeneratorDisplay",
    "HistoryDisplay",
    "TransportDisplay",
]
