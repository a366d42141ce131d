"""The pages name things that exist: the API reference is complete, and the imports of the snippets run."""

import importlib
import re
import tomllib
from email.message import Message
from pathlib import Path

import pytest
import sklearn

import sklearn_ot
from sklearn_ot.base import _documentation

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


@pytest.fixture
def address(monkeypatch):
    """The address of the documentation in pyproject.toml, as the metadata of an installed package have it."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    metadata = Message()
    for name, url in urls.items():
        metadata["Project-URL"] = f"{name}, {url}"
    monkeypatch.setattr(_documentation, "metadata", lambda name: metadata)
    _documentation.address_of_documentation.cache_clear()
    yield urls["Documentation"]
    _documentation.address_of_documentation.cache_clear()


@pytest.mark.parametrize("name", [*sklearn_ot.ESTIMATORS, "adaptation.skada.TransportAdapter"])
def test_the_diagram_of_an_estimator_links_its_page(name, address):
    room, _, name = name.rpartition(".")
    estimator = object.__new__(getattr(importlib.import_module(f"sklearn_ot.{room}".rstrip(".")), name))
    # The page that the entry of the reference makes.
    pages = {f"{address}generated/{entry}.html" for entry in names_of_the_reference()}
    assert estimator._get_doc_link() in pages
    assert estimator._get_doc_link().endswith(f".{name}.html")


def test_the_link_is_in_the_diagram(address):
    from sklearn.neighbors import KNeighborsClassifier

    adapter = sklearn_ot.DomainAdapter(sklearn_ot.GaussianTransport(), KNeighborsClassifier())
    diagram = adapter._repr_html_()
    for page in ("adaptation.DomainAdapter", "transport.GaussianTransport"):
        assert f'href="{address}generated/sklearn_ot.{page}.html"' in diagram
    assert "scikit-learn.org" in diagram  # the classifier has the page of its own package


def test_every_estimator_has_a_place_on_the_page_of_the_choice():
    page = (ROOT / "doc" / "choosing.rst").read_text(encoding="utf-8")
    listed = set(
        re.findall(r"`~sklearn_ot\.\w+\.(\w+)`", page.partition("All estimators")[2].partition("Eight tasks")[0])
    )
    assert set(sklearn_ot.ESTIMATORS) <= listed
