"""The names in the root of the package, and the packages that it needs."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from sklearn.base import BaseEstimator

import sklearn_ot
from tests.test_architecture import imported_modules

PUBLIC_PARTS = (
    sklearn_ot.transport,
    sklearn_ot.generation,
    sklearn_ot.representation,
    sklearn_ot.adaptation,
    sklearn_ot.vision,
)


def test_every_public_estimator_is_importable_from_the_root():
    public = {name: getattr(part, name) for part in PUBLIC_PARTS for name in part.__all__}
    estimators = {
        name for name, thing in public.items() if isinstance(thing, type) and issubclass(thing, BaseEstimator)
    }
    assert estimators == set(sklearn_ot.ESTIMATORS)
    for name in estimators:
        assert getattr(sklearn_ot, name) is public[name]


def test_everything_that_is_listed_is_there():
    assert set(dir(sklearn_ot)) == set(sklearn_ot.__all__)
    for name in sklearn_ot.__all__:
        assert getattr(sklearn_ot, name) is not None
    namespace = {}
    exec("from sklearn_ot import *", namespace)
    assert set(sklearn_ot.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sklearn_ot' has no attribute 'W3Transport'"):
        _ = sklearn_ot.W3Transport


def in_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_alone_loads_nothing_heavy():
    code = "import sys, sklearn_ot; print(sorted({'numpy', 'sklearn', 'torch', 'ot', 'skorch'} & set(sys.modules)))"
    assert in_new_process(code) == "[]"


def test_parts_are_reachable_after_importing_the_package():
    assert in_new_process("import sklearn_ot; print(sklearn_ot.transport.W2Transport.__name__)") == "W2Transport"


ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Extras for work on the package; users need the others.
FOR_DEVELOPERS = {"bench", "demo", "dev", "docs", "test"}
# Tables of these packages are accepted; whoever has such a table has the package.
OF_THE_USER = {"pandas", "polars"}
SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "sklearn_ot").rglob("*.py"))]


def packages_of(requirements):
    """The requirement of each package, with those of the extras of this package that are named."""
    found = {}
    for requirement in map(Requirement, requirements):
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                found |= packages_of(EXTRAS[extra])
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def imported_packages():
    """The packages of other projects that the code imports, also in functions."""
    modules = {name.split(".")[0] for source in SOURCES for name, _ in imported_modules(ast.parse(source))}
    owners = packages_distributions()
    foreign = modules - sys.stdlib_module_names - {"sklearn_ot"}
    return {canonicalize_name(owner) for module in foreign for owner in owners[module]}


def test_a_package_is_declared_if_and_only_if_the_code_imports_it():
    for_users = [requirement for extra in EXTRAS.keys() - FOR_DEVELOPERS for requirement in EXTRAS[extra]]
    declared = packages_of([*PROJECT["dependencies"], *for_users]).keys()
    assert imported_packages() - OF_THE_USER - declared == set()
    assert declared - imported_packages() == set()


def test_pages_of_the_installation_have_all_extras():
    for_users = EXTRAS.keys() - FOR_DEVELOPERS
    readme, page = (ROOT / name for name in ("README.md", "doc/install.rst"))
    assert for_users <= set(re.findall(r'pip install "\.\[(\w+)\]"', readme.read_text(encoding="utf-8")))
    assert for_users <= set(re.findall(r"^``(\w+)`` ", page.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_lowest_versions_are_those_of_the_minimum_constraints():
    """Of everything that `make test-minimum` installs for the package and its tests."""
    lowest = {}
    for name, requirement in packages_of([*PROJECT["dependencies"], *EXTRAS["test"]]).items():
        (lower,) = (clause for clause in requirement.specifier if clause.operator == ">=")
        lowest[name] = Version(lower.version)
    lines = (ROOT / ".ci" / "constraints-minimum.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert {canonicalize_name(name): Version(pin) for name, pin in pins.items()} == lowest


def test_classifiers_begin_with_the_lowest_version_of_python():
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert f">={versions[0]}" == PROJECT["requires-python"]
