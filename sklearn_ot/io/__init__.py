"""Fitted estimators outside of the process: files that run no code when they are loaded, and ONNX files.

`save`, `load` and `TRUSTED` need the extra ``files``, ``pip install "sklearn-ot[files]"``, and `export_onnx` the extra
``onnx``.
"""

from sklearn_ot.io._file import load, save
from sklearn_ot.io._names import TRUSTED
from sklearn_ot.io._onnx import export_onnx

__all__ = ["TRUSTED", "export_onnx", "load", "save"]
