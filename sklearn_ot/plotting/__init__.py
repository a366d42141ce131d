"""Displays, as in scikit-learn, of maps, cells, generators, critics, copies and training."""

from sklearn_ot.plotting._cells import CellsDisplay
from sklearn_ot.plotting._copying import CopyingDisplay
from sklearn_ot.plotting._generators import CriticDisplay, GeneratorDisplay
from sklearn_ot.plotting._history import HistoryDisplay
from sklearn_ot.plotting._transports import TransportDisplay

__all__ = ["CellsDisplay", "CopyingDisplay", "CriticDisplay", "GeneratorDisplay", "HistoryDisplay", "TransportDisplay"]
