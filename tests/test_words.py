"""Code and pages use the words of the table in CONTRIBUTING.md, and plain sentences."""

import ast
import re
from pathlib import Path

import pytest

import sklearn_ot

ROOT = Path(__file__).parents[1]
PACKAGE = Path(sklearn_ot.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("doc/*.rst"), *ROOT.glob("examples/**/*.py")]
TESTS = [path for path in ROOT.glob("tests/**/*.py") if path.name != Path(__file__).name]
FILES = sorted([*PACKAGE.rglob("*.py"), *PAGES, *TESTS, *ROOT.glob("benchmarks/*.py")])
# Words with a plainer one in their place. A word between underscores is part of a name, and not matched.
BANNED = {
    "law": "distribution",
    "laws": "distributions",
    "worth": "effective rows, estimate or bound",
    "pace": "step size or schedule",
    "frame": "coordinates or orthonormal rows",
    "frames": "coordinates or orthonormal rows",
    "tell": "know, show, distinguish or estimate",
    "tells": "knows, shows, distinguishes or estimates",
    "told": "known, shown or given",
}
WORD = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
# Lines that may have such a word: the end of the file's name, a part of the line, and the reason.
EXCEPTIONS = [
    ("CONTRIBUTING.md", "| distribution | a probability measure | law |", "the table of words itself"),
    ("CONTRIBUTING.md", "`from_coordinates` | frame |", "the table of words itself"),
    ("CONTRIBUTING.md", "to fill space evenly | frame |", "the table of words itself"),
    ("CONTRIBUTING.md", "with the same variance | worth |", "the table of words itself"),
    ("CONTRIBUTING.md", "during training | pace |", "the table of words itself"),
    ("CONTRIBUTING.md", "with its confidence | worth, told |", "the table of words itself"),
    ("base/_fitting.py", "frame, level =", "frames of Python's stack"),
    ("base/_fitting.py", "while frame.f_back", "frames of Python's stack"),
]


def is_allowed(path, line):
    return any(path.as_posix().endswith(end) and part in line for end, part, _ in EXCEPTIONS)


def replaced_words(path, text):
    """Lines with words that are not used here, and the words to use."""
    return [
        f"{path.name}:{number}: write {BANNED[match[1].lower()]} for {match[1]!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in WORD.finditer(line)
        if not is_allowed(path, line)
    ]


def odd_first_lines(path, text):
    """First lines of docstrings that open with "What" or have a citation, and comments that open with "What"."""
    found = [
        f"{path.name}:{number}: open the comment with a subject"
        for number, line in enumerate(text.splitlines(), 1)
        if re.match(r"\s*# What\b(?!.*\?)", line)
    ]
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text)):
        first = (ast.get_docstring(node) or "").partition("\n")[0] if isinstance(node, kinds) else ""
        if re.match(r"What\b", first) or re.search(r"\]_", first):
            found.append(f"{path.name}: plain first line wanted: {first}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_have_one_meaning(path):
    assert replaced_words(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".py"], ids=lambda path: path.name)
def test_first_lines_are_plain(path):
    assert odd_first_lines(path, path.read_text(encoding="utf-8")) == []


def test_exceptions_are_needed():
    for end, part, reason in EXCEPTIONS:
        texts = [path.read_text(encoding="utf-8") for path in FILES if path.as_posix().endswith(end)]
        lines = [line for text in texts for line in text.splitlines() if part in line]
        assert any(WORD.search(line) for line in lines), f"no line of {end} needs the exception {part!r} ({reason})"


def test_a_replaced_word_is_found():
    text = '"""What it is worth [A]_."""\n# What a law tells\nframe_, DataFrame, sys._getframe = 1, 2, 3\n'
    assert len(replaced_words(Path("x.py"), text)) == 3
    assert len(odd_first_lines(Path("x.py"), text)) == 2
