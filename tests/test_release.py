"""The wheel and the source archive, their metadata, and the quick start in an empty environment."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION, SOURCE = PROJECT["version"], PROJECT["urls"]["Source"]
# Fits of a few steps by default, so that the quick start runs in seconds, with poor results.
SHORT_TRAINING = """
import sklearn_ot
sklearn_ot.W2Transport.__init__.__kwdefaults__.update(max_iter=2, plan_size=0)
"""
# Folders and files that commands of the Makefile write into the folders of the source archive.
WRITTEN = {"__pycache__", "_build", "auto_examples", "generated", "sg_execution_times.rst"}


def run(*command, **options):
    """The output of a command, which must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def files_below(*folders):
    """Paths of the files of folders, relative to the repository."""
    paths = (path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if WRITTEN.isdisjoint(path.parts)}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The wheel and the source archive; the wheel is built from the latter."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def test_the_wheel_is_the_package_alone(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        names = set(wheel.namelist())
    info = f"sklearn_ot-{VERSION}.dist-info"
    assert {name for name in names if not name.startswith(info)} == files_below("sklearn_ot")
    assert {"sklearn_ot/py.typed", f"{info}/licenses/LICENSE"} <= names


def test_the_source_archive_is_complete(archives):
    with tarfile.open(archives[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = files_below(".ci", "benchmarks", "doc", "examples", "sklearn_ot", "tests")
    pages = {"CHANGES.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"}
    assert wanted | pages <= names
    # PKG-INFO is the metadata, and every build by hatchling has the .gitignore.
    assert names - wanted - pages == {"PKG-INFO", ".gitignore"}


def test_links_of_the_readme_lead_to_files_of_the_release(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        metadata = message_from_string(wheel.read(f"sklearn_ot-{VERSION}.dist-info/METADATA").decode())
    links = re.findall(r"\]\(([^)\s]+)", metadata.get_payload())
    assert [link for link in links if not re.match("https?://|#", link)] == []
    own = [link.removeprefix(f"{SOURCE}/") for link in links if link.startswith(SOURCE)]
    assert len(own) >= 10
    for link in own:
        form, version, path = link.split("/", 2)
        assert (form, version) in {("blob", f"v{VERSION}"), ("raw", f"v{VERSION}")}
        assert (ROOT / path.partition("#")[0]).exists(), link


def test_pages_and_metadata_agree():
    citation = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE))
    changes = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    version, day = re.search(r"^## \[(.+?)\] - (\S+)$", changes, re.MULTILINE).groups()
    assert (citation["version"], citation["date-released"]) == (version, day)
    # Between two releases the version of the package is later than that of the last one.
    assert version == VERSION or ".dev" in VERSION
    assert f"version = {{{version}}}" in (ROOT / "doc" / "citing.rst").read_text(encoding="utf-8")
    assert citation["license"] == PROJECT["license"]
    assert (citation["repository-code"], citation["url"]) == (SOURCE, PROJECT["urls"]["Documentation"])


def quick_start():
    """The first snippet of the README."""
    return re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)[1]


def check_the_quick_start(python, packages, folder, before=""):
    """Run the quick start in a folder without the checkout: it imports the package from the folder of packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = (
        f"{before}\n{quick_start()}\nimport sklearn_ot\nprint(sklearn_ot.__version__, sklearn_ot.__file__, sep='\\n')"
    )
    version, place = run(python, "-c", code, cwd=folder, env=environment).splitlines()[-2:]
    assert (version, Path(place)) == (VERSION, packages / "sklearn_ot" / "__init__.py")


def new_environment(folder):
    """An empty environment; its interpreter and its folder of packages."""
    venv.create(folder, symlinks=True)
    places = {"base": str(folder), "platbase": str(folder)}
    python = Path(sysconfig.get_path("scripts", "venv", places)) / "python"
    return python, Path(sysconfig.get_path("purelib", "venv", places))


def test_the_quick_start_runs_with_the_wheel(archives, tmp_path):
    """The environment has the wheel, and borrows the dependencies from that of the tests."""
    python, packages = new_environment(tmp_path / "environment")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", archives[0])
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    check_the_quick_start(python, packages, tmp_path, before=SHORT_TRAINING)


@pytest.mark.slow
def test_the_quick_start_runs_after_an_installation_of_everything(archives, tmp_path):
    """pip installs the wheel and what it needs, and nothing else, from the package index."""
    python, packages = new_environment(tmp_path / "environment")
    run(sys.executable, "-m", "pip", "--python", python, "install", archives[0])
    check_the_quick_start(python, packages, tmp_path)
