"""The house: imports go down only and in no circle, files and functions are short, and each idea has one place."""

import ast
import io
import re
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sklearn_ot

ROOT = Path(sklearn_ot.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

CONTRACTS = {
    "base",
    "certificates",
    "checkpoints",
    "checks",
    "exceptions",
    "files",
    "metrics",
    "networks",
    "plain",
    "processes",
    "settings",
    "streams",
}
# Parts of the package that each part may import, besides itself. A new folder must be added here.
INSIDE = {
    "__init__": set(),
    "exceptions": set(),
    "settings": set(),
    "files": set(),
    "processes": set(),
    "checkpoints": {"files", "processes"},
    "nn": set(),
    "objectives": {"settings", "nn", "solvers"},
    "plain": {"settings", "nn"},
    "solvers": {"settings", "plain", "checks", "nn", "exceptions"},
    "nets": {"settings", "plain", "processes", "checkpoints", "nn", "objectives", "solvers", "exceptions"},
    "checks": set(),
    "streams": set(),
    "certificates": {"base", "solvers"},
    "networks": {"checks", "nn"},
    "metrics": {"settings", "checks", "solvers", "exceptions"},
    "datasets": {"settings", "nn", "solvers", "exceptions"},
    "plotting": {"settings", "base", "exceptions", "metrics"},
    "base": {
        "checkpoints",
        "checks",
        "exceptions",
        "metrics",
        "nn",
        "plain",
        "processes",
        "settings",
        "solvers",
        "streams",
    },
    "transport": {"nn", "objectives", "solvers", "nets", *CONTRACTS},
    "generation": {"nn", "objectives", "solvers", "nets", "transport", *CONTRACTS},
    "representation": {"nn", "objectives", "solvers", "nets", *CONTRACTS},
    "adaptation": {"transport", "nn", "solvers", "nets", "objectives", *CONTRACTS},
    "vision": {"transport", "nn", "solvers", *CONTRACTS},
    "io": {"ESTIMATORS", "files", "nets", "networks", "nn", "plain", "settings", "solvers"},
}
# Third-party packages that each part may import.
OUTSIDE = {
    "__init__": set(),
    "exceptions": set(),
    "settings": {"numpy", "torch"},
    "files": set(),
    "processes": {"torch"},
    "checkpoints": {"joblib", "numpy", "torch"},
    "nn": {"torch"},
    "plain": {"numpy", "sklearn", "torch"},
    "objectives": {"torch", "ot"},
    "solvers": {"numpy", "scipy", "sklearn", "joblib", "torch", "ot"},
    "nets": {"numpy", "sklearn", "torch", "skorch", "tqdm"},
    "metrics": {"numpy", "scipy", "sklearn", "ot"},
    "datasets": {"numpy", "scipy", "sklearn", "torch", "ot"},
    "plotting": {"numpy", "sklearn"},
    "base": {"numpy", "sklearn", "torch", "joblib"},
    "checks": {"numpy", "sklearn"},
    "streams": {"numpy"},
    "certificates": {"numpy"},
    "networks": {"sklearn", "torch"},
    "transport": {"joblib", "numpy", "scipy", "sklearn", "torch", "skorch", "ot"},
    "generation": {"numpy", "scipy", "sklearn", "torch", "skorch", "ot"},
    "representation": {"numpy", "sklearn", "torch"},
    "adaptation": {"numpy", "scipy", "sklearn", "torch"},
    "vision": {"numpy", "scipy", "sklearn", "torch"},
    "io": {"numpy", "sklearn", "torch"},
}
# Extras that a part may import, only inside functions, so that the package works without them.
OPTIONAL = {
    "nets": {"accelerate"},
    "processes": {"accelerate"},
    "streams": {"dask"},
    "plotting": {"matplotlib"},
    "datasets": {"mlxtend", "pandas"},
    "generation": {"pandas", "polars"},
    "adaptation": {"skada"},
    "vision": {"PIL"},
    "io": {"onnx", "onnxscript", "safetensors", "skops"},
}


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
    """Imports of the file at ``path`` (relative to the package) that break the rules."""
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


def is_module(name):
    """Whether a dotted name below the package is a file or a folder of it, and not a name within one."""
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_private(name):
    """Whether a name is private; the constraints of parameters are part of scikit-learn's protocol."""
    return name.startswith("_") and not name.startswith("__") and name != "_parameter_constraints"


def root_of(node):
    """The name that an expression such as ``package.module.name`` begins with, or None."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def private_names(path, source):
    """Names with a leading underscore that the file at ``path`` takes from other modules of the package."""
    tree = ast.parse(source)
    imported, found = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.split(".")[0] == "sklearn_ot"]
            imported.update(alias.asname or "sklearn_ot" for alias in names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sklearn_ot":
            imported.update(alias.asname or alias.name for alias in node.names)
            names = [alias.name for alias in node.names if not is_module(f"{node.module}.{alias.name}")]
            found += [f"{path}: {name} is private to {node.module}" for name in names if is_private(name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root_of(node) in imported:
            found.append(f"{path}: {node.attr} is private to {root_of(node)}")
    return found


def imports_of(path):
    """The files of the package that the file at ``path`` imports when it is imported."""
    found = set()
    for name, at_import in imported_modules(ast.parse((ROOT / path).read_text())):
        if name.split(".")[0] != "sklearn_ot" or not at_import:
            continue
        # `from module import name`: the name may be a module or a name in a module.
        module = name if is_module(name) else name.rpartition(".")[0]
        target = ROOT.joinpath(*module.split(".")[1:])
        file = target / "__init__.py" if target.is_dir() else target.with_suffix(".py")
        found.add(file.relative_to(ROOT).as_posix())
    # The root imports its parts when they are used.
    return found - {path, "__init__.py"}


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down_only(path):
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", FILES)
def test_no_private_name_of_another_module_is_used(path):
    assert private_names(path, (ROOT / path).read_text()) == []


def test_there_are_no_circles():
    # prepare raises CycleError with the circle.
    TopologicalSorter({path: imports_of(path) for path in FILES}).prepare()


@pytest.mark.parametrize(
    "source",
    [
        "from sklearn_ot.metrics import _check_samples",
        "from sklearn_ot.nn._mlp import MLP, _initialise",
        "from sklearn_ot import metrics\nmetrics._check_samples()",
        "import sklearn_ot.metrics\nsklearn_ot.metrics._check_samples()",
        "import sklearn_ot.nn._mlp as mlp\nmlp._initialise",
        "from sklearn_ot.nets import JointNet\nJointNet._validate",
    ],
)
def test_a_private_name_of_another_module_is_seen(source):
    assert len(private_names("nn/_icnn.py", source)) == 1


@pytest.mark.parametrize(
    "source", ["from sklearn_ot.nn import _mlp\n_mlp.MLP", "from sklearn_ot import __version__", "_own = 1\n_own"]
)
def test_a_private_module_of_the_same_folder_passes(source):
    assert private_names("nn/_icnn.py", source) == []


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


MAX_FILE_LINES, MAX_FUNCTION_LINES = 250, 40
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source):
    """Numbers of the lines that hold code: no blanks, comments and docstrings."""
    lines, docstrings = set(), set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines - docstrings


@pytest.mark.parametrize("path", FILES)
def test_files_and_functions_are_short(path):
    source = (ROOT / path).read_text()
    lines = code_lines(source)
    assert len(lines) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            n_lines = sum(node.lineno <= line <= node.end_lineno for line in lines)
            assert n_lines <= MAX_FUNCTION_LINES, node.name


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings():
    source = '"""Module."""\n\n# why\ndef f():\n    """Function."""\n    return (\n        1  # one\n    )\n'
    assert sorted(code_lines(source)) == [4, 6, 7, 8]


# Ideas that have one place in the package, as a pattern of the line with the idea.
ONE_PLACE = {
    "going on with another net": r"def resume\(",
    "the backward pass": r"\.backward\(\)",
    "the step of an optimiser": r"optimizer\w*\.step\(\)",
    "the loop over the batches of an epoch": r"def run_single_epoch\(",
    "the early stop": r"\(EarlyStopping\)",
    "the schedule of step sizes": r"\[\"lr\"\] = ",
    "the progress bar": r"\btqdm\(",
    "the Sobol sequence": r"SobolEngine\b(?!\.MAXDIM)",
    "the size of a chunk of rows": r"^CHUNK_ROWS = ",
    "the exact plan": r"\bot\.emd2?\(",
    "the check of weights": r"def \w*check\w*_weights?\(",
    "the line that a warning names": r"stacklevel",
}
# The schedules and averages of the package must not change the pairs that its benchmarks are measured on.
OWN_TRAINING = "datasets/_icnn_family.py"


@pytest.mark.parametrize("pattern", ONE_PLACE.values(), ids=ONE_PLACE)
def test_each_idea_has_one_place(pattern):
    places = []
    for path in set(FILES) - {OWN_TRAINING}:
        source = (ROOT / path).read_text()
        lines = source.splitlines()
        places += [path for number in code_lines(source) if re.search(pattern, lines[number - 1])]
    assert len(places) == 1, places
