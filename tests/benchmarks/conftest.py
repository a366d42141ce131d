"""Scripts of benchmarks/ as modules."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request, monkeypatch):
    """The module of a script; what its import and its run change is undone."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.syspath_prepend(FOLDER)
    known, n_threads = set(sys.modules), torch.get_num_threads()
    yield importlib.import_module(request.param)
    torch.set_num_threads(n_threads)
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]
