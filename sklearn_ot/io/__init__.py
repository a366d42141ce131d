"""Files of estimators that run no code when they are loaded.

They need the extra ``files``: ``pip install "sklearn-ot[files]"``.
"""

from sklearn_ot.io._file import load, save
from sklearn_ot.io._names import TRUSTED

__all__ = ["TRUSTED", "load", "save"]
