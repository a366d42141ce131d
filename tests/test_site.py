"""The site builds without a warning, and its links lead somewhere; the bibliography is complete."""

import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sklearn_ot

ROOT = Path(__file__).parents[1]
# Written by a build into the folder of the pages.
BUILT = ("_build", "auto_examples", "generated", "sg_execution_times.rst")


def build(folder):
    """Build the site from copies of its sources, without running the examples; the folder of the pages and the log."""
    shutil.copytree(ROOT / "doc", folder / "doc", ignore=shutil.ignore_patterns(*BUILT))
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "benchmarks" / "results", folder / "benchmarks" / "results")
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*.cff")):
        shutil.copy(path, folder)
    command = "-m sphinx -W --keep-going -q -b html -D plot_gallery=0 doc site"
    run = subprocess.run([sys.executable, *command.split()], cwd=folder, capture_output=True, text=True, check=False)
    return folder / "site", run


def broken_links(site):
    """Links to pages, files and anchors of the site that are not there, and things that come from other sites."""
    # The templates of the theme beside its static files are no pages.
    files = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = {path: path.read_text(encoding="utf-8") for path in files}
    anchors = {path: set(map(unescape, re.findall(r'\s(?:id|name)="([^"]*)"', text))) for path, text in pages.items()}
    found = []
    for path, text in pages.items():
        name = path.relative_to(site)
        found += [f"{name} needs {url}" for url in re.findall(r'<(?:script|img)\b[^>]*\ssrc="(https?:[^"]*)"', text)]
        for link in set(re.findall(r'\s(?:href|src)="([^"]*)"', text)):
            url = urlsplit(unescape(link))
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_file():
                found.append(f"{name}: no file for {link}")
            elif url.fragment and target in anchors and unquote(url.fragment) not in anchors[target]:
                found.append(f"{name}: no anchor for {link}")
    return found


def test_the_site_builds_without_warnings_and_its_links_work(tmp_path):
    site, run = build(tmp_path)
    assert run.returncode == 0, run.stderr
    assert broken_links(site) == []
    # A citation in the first line of a docstring is a link to nowhere in the lists of names.
    assert re.findall(r"<td>.*\[R[0-9a-f]{6,}-\w+\].*</td>", (site / "api.html").read_text(encoding="utf-8")) == []
    # Formulas need no network.
    assert (site / "_static" / "tex-svg.js").is_file()


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there"></a><a href="b.html#gone"></a><img src="c.png"/>')
    (tmp_path / "b.html").write_text(
        '<p id="there"></p><a href="#top"></a><script src="https://example.org/x.js"></script>'
    )
    assert len(broken_links(tmp_path)) == 4


def cited():
    """The names of works that docstrings and pages cite."""
    package = Path(sklearn_ot.__file__).parent
    pages = [path for path in ROOT.glob("doc/*.rst") if path.name != "bibliography.rst"]
    texts = [path.read_text(encoding="utf-8") for path in (*package.rglob("*.py"), *pages)]
    return {name for text in texts for name in re.findall(r"\[([A-Z]\w+\d\d[a-z]?)\]", text)}


def test_the_bibliography_lists_the_works_that_are_cited():
    text = (ROOT / "doc" / "bibliography.rst").read_text(encoding="utf-8")
    names = re.findall(r"^\.\. \[(\w+)\]", text, re.MULTILINE)
    assert set(names) == cited()
    assert names == sorted(names, key=str.lower)
