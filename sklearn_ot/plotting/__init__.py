"""Pictures of maps, cells, generators, critics and training, in the manner of scikit-learn's Displays."""

from sklearn_ot.plotting._cells import CellsDisplay
from sklearn_ot.plotting._generators import CriticDisplay, GeneratorDisplay
from sklearn_ot.plotting._history import HistoryDisplay
from sklearn_ot.plotting._transports import TransportDisplay

__all__ = ["CellsDisplay", "CriticDisplay", "GeneratorDisplay", "HistoryDisplay", "TransportDisplay"]
