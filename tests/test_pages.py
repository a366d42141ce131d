"""The pages name things that exist: the API reference is complete, and the imports of the snippets run."""

import importlib
import re
from pathlib import Path

import pytest
import sklearn

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("doc/*.rst"))]
LISTED = [
    "adaptation",
    "certificates",
    "datasets",
    "generation",
    "io",
    "plotting",
    "representation",
    "transport",
    "vision",
]


def names_of_the_reference():
    """Full names of the entries of doc/api.rst."""
    module, names = None, []
    for line in (ROOT / "doc" / "api.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   [\w.]+", line):
            names.append(f"{module}.{line.strip()}")
    return names


@pytest.mark.parametrize("name", names_of_the_reference())
def test_entries_of_the_reference_exist(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("part", LISTED)
def test_the_reference_lists_every_public_name(part):
    public = set(importlib.import_module(f"sklearn_ot.{part}").__all__)
    assert public <= {name.rpartition(".")[2] for name in names_of_the_reference()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_of_the_snippets_run(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    for line in lines:
        if re.match(r"\s*(from [\w.]+ import |import )\w", line):
            # skada changes settings of scikit-learn when it is imported.
            with sklearn.config_context():
                exec(line.strip(), {})
