"""Every script in benchmarks/ runs its smallest cell, and its published results have the columns that it writes."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def published(script):
    """The results that the repository holds, by path."""
    return {path: path.read_bytes() for path in script.RESULTS.folder.iterdir()}


def test_there_are_scripts():
    assert "w2" in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, indirect=True)
def test_smallest_cell_runs_and_leaves_published_results_alone(script, tmp_path, capsys):
    before = published(script)
    script.main(["--smallest", "--output", str(tmp_path)])
    assert published(script) == before
    # The rows are in the file, each with its setup; a method that failed would have a note.
    table = (tmp_path / script.RESULTS.name).read_text().splitlines()
    assert table[0].startswith(f"# python benchmarks/{script.__name__}.py {script.SMALLEST[0]} ")
    header, *rows = (line for line in table if not line.startswith("#"))
    assert tuple(header.split(",")) == script.RESULTS.header
    assert rows
    stored = capsys.readouterr().out
    assert "note=" not in stored, stored
    # The report alone gives the same tables.
    script.main(["--report", "--output", str(tmp_path)])
    assert capsys.readouterr().out.strip()
    assert (tmp_path / script.RESULTS.name).read_text().splitlines() == table


@pytest.mark.parametrize("script", SCRIPTS, indirect=True)
def test_published_results_have_the_columns_of_the_script(script):
    lines = script.RESULTS.path.read_text().splitlines()
    header = next(line for line in lines if not line.startswith("#"))
    assert tuple(header.split(",")) == script.RESULTS.header
    assert lines[0].startswith(f"# python benchmarks/{script.__name__}.py")


@pytest.mark.parametrize("script", SCRIPTS, indirect=True)
def test_docstring_has_the_command(script):
    assert f"python benchmarks/{script.__name__}.py" in script.__doc__


@pytest.mark.parametrize(
    ("script", "method"), [("w2", "ott Expectile"), ("semidiscrete", "ott-jax")], indirect=["script"]
)
def test_missing_extra_is_one_clear_message(script, method, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ott" else found(name))
    with pytest.raises(SystemExit, match=rf"^{method}: ott is not installed\. Install it with: pip install"):
        script.main(["--output", str(tmp_path), "--methods", method])
    assert not list(tmp_path.iterdir())
