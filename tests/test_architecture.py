"""Imports go down only: estimators, nets, objectives and solvers, nn."""

import ast
import sys
from pathlib import Path

import pytest

import sklearn_ot

ROOT = Path(sklearn_ot.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

CONTRACTS = {"base", "exceptions", "metrics"}
# Which parts of the package each part may import, beside itself. A new folder must be placed here.
INSIDE = {
    "__init__": set(),
    "exceptions": set(),
    "nn": set(),
    "objectives": {"nn", "solvers"},
    "solvers": {"nn", "exceptions"},
    "nets": {"nn", "objectives", "solvers", "exceptions"},
    "metrics": {"exceptions"},
    "datasets": {"nn", "solvers", "exceptions"},
    "plotting": {"base", "exceptions"},
    "base": {"metrics", "exceptions"},
    "transport": {"nn", "objectives", "solvers", "nets", *CONTRACTS},
    "generation": {"nn", "objectives", "solvers", "nets", *CONTRACTS},
    "adaptation": {"transport", *CONTRACTS},
}
# Which third-party packages each part may import.
OUTSIDE = {
    "__init__": set(),
    "exceptions": set(),
    "nn": {"torch"},
    "objectives": {"torch", "ot"},
    "solvers": {"numpy", "scipy", "sklearn", "torch", "ot"},
    "nets": {"numpy", "sklearn", "torch", "skorch", "tqdm"},
    "metrics": {"numpy", "scipy", "sklearn", "ot"},
    "datasets": {"numpy", "scipy", "sklearn", "torch", "ot"},
    "plotting": {"numpy", "sklearn"},
    "base": {"numpy", "sklearn"},
    "transport": {"numpy", "scipy", "sklearn", "torch", "skorch", "ot"},
    "generation": {"numpy", "scipy", "sklearn", "torch", "skorch", "ot"},
    "adaptation": {"numpy", "sklearn"},
}
# Extras, where they may be imported: inside functions only, so that the package works without them.
OPTIONAL = {"plotting": {"matplotlib"}, "datasets": {"mlxtend"}, "adaptation": {"skada"}}


def imported_modules(tree):
    """Pairs (dotted name of a module, whether the import runs with the file) of a syntax tree."""
    lazy = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.ImportFrom):
            # `from package import name` may name a module.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, node not in lazy


def violations(path, source):
    """What the file at ``path`` (relative to the package) imports against the rules."""
    part = path.split("/")[0].removesuffix(".py")
    found = []
    for name, at_import in imported_modules(ast.parse(source)):
        package, *rest = name.split(".")
        if not package:
            found.append(f"{path}: {name} is relative; write the full name")
        elif package == "sklearn_ot":
            other = rest[0] if rest else "__init__"
            if other != part and other not in INSIDE[part] and other != "__version__":
                found.append(f"{path}: {part} may not import {other} ({name})")
            is_private_module = len(rest) > 1 and rest[1].startswith("_") and (ROOT / other).is_dir()
            if other != part and is_private_module:
                found.append(f"{path}: {name} is private to {other}")
        elif package in sys.stdlib_module_names or package in OUTSIDE[part]:
            continue
        elif package not in OPTIONAL.get(part, ()):
            found.append(f"{path}: {part} may not import {package}")
        elif at_import:
            found.append(f"{path}: {package} is optional; import it in the function that needs it")
    return found


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down_only(path):
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("nn/_icnn.py", "from sklearn_ot.nets import JointNet"),
        ("nn/_icnn.py", "from sklearn_ot import nets"),
        ("nn/_icnn.py", "def f():\n    import sklearn_ot.objectives"),
        ("nn/_icnn.py", "import numpy as np"),
        ("objectives/w2.py", "import skorch"),
        ("nets/_joint.py", "from sklearn_ot.base import BaseTransport"),
        ("base.py", "from sklearn_ot.transport import GaussianTransport"),
        ("adaptation/_scorers.py", "from sklearn_ot.transport._gaussian import GaussianTransport"),
        ("transport/_w2.py", "from ..nn import DenseICNN"),
        ("plotting.py", "import matplotlib.pyplot as plt"),
    ],
)
def test_an_import_against_the_rules_is_seen(path, source):
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("nn/_icnn.py", "import math\nfrom torch import nn\nfrom sklearn_ot.nn._layers import Positive"),
        ("transport/_w2.py", "from sklearn_ot.nets import JointNet\nfrom sklearn_ot.base import BaseTransport"),
        ("plotting.py", "def plot():\n    import matplotlib.pyplot as plt"),
    ],
)
def test_an_import_within_the_rules_passes(path, source):
    assert violations(path, source) == []
