"""Configuration of the documentation; `make docs` builds it."""

import ast
import inspect
import os
import re
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import sklearn_ot

project = "sklearn_ot"
author = "The sklearn_ot developers"
project_copyright = f"{date.today().year}, {author}"
release = version = sklearn_ot.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx.ext.extlinks",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "myst_parser",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
# A name in single backticks becomes a link if it is known, as in scikit-learn's docstrings.
default_role = "autolink"
# The bibliography lists works that only docstrings cite, and docstrings have their own copies of these entries.
suppress_warnings = ["ref.citation"]

autosummary_generate = True
# Types are in the docstrings, with shapes and ranges.
autodoc_typehints = "none"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
# Prompts and outputs are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# Headings of the Markdown files can be linked from their own pages.
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The demo trains for minutes and is not part of the gallery.
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"demo_",
    "subsection_order": [f"../examples/{name}" for name in ("stories", "maps", "generators", "adaptation", "pictures")],
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("sklearn_ot",),
    "backreferences_dir": "generated",
    "reference_url": {"sklearn_ot": None},
    "show_memory": False,
    "write_computation_times": False,
}

# Links of the bibliography.
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"), "doi": ("https://doi.org/%s", "doi:%s")}

# `INTERSPHINX=1 make docs` adds links to other projects, whose inventories are fetched from the network.
if os.environ.get("INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_ot {release}"
html_theme_options = {
    # Without the version the name fits beside the icons of a phone.
    "logo": {"text": "sklearn_ot"},
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without a section of their own have no sidebar, so that their tables are not squeezed beside an empty one.
html_sidebars = {page: [] for page in ("index", "choosing", "benchmarks", "api")}
# Formulas need no network: one file of MathJax, from a Python package, is copied beside the pages.
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"
html_static_path = ["_static", str(MATHJAX)]
html_css_files = ["site.css"]
mathjax_path = MATHJAX.name


def quote_attributes_in_shapes(app, what, name, obj, options, lines):
    """Quote the ``n_features_in_`` of a shape: reStructuredText takes a trailing underscore for a link."""
    shape = re.compile(r"(?<=of shape )\([^)]*\)")
    lines[:] = [shape.sub(lambda match: re.sub(r"\b\w+_\b", r"``\g<0>``", match[0]), line) for line in lines]


def link_guides_of_others(app, what, name, obj, options, lines):
    """Link the guide of scikit-learn in inherited docstrings, whose references are labels of its own pages."""
    label = re.compile(r":ref:`(?:([^`<]*?) <)?(?:sklearn:)?metadata_routing>?`")
    lines[:] = [
        label.sub(
            lambda match: (
                f"`{match[1] or 'metadata routing'} <https://scikit-learn.org/stable/metadata_routing.html>`__"
            ),
            line,
        )
        for line in lines
    ]


def break_formulas(app, what, name, obj, options, lines):
    """Begin a line of a formula at each of its gaps: in one line, two equations are wider than a page."""
    text = "\n".join(lines)
    for formula in re.findall(r"^ *\.\. math::.*(?:\n +\S.*)*", text, re.MULTILINE):
        if r"\qquad" in formula:
            indent, _, equations = formula.partition(".. math::")
            rows = [" ".join(row.split()) for row in equations.split(r"\qquad")]
            parts = [f"{indent}    & {row}" for row in rows]
            text = text.replace(formula, f"{indent}.. math::\n\n" + " \\\\\n".join(parts))
    lines[:] = text.split("\n")


def find_source(app, modname):
    """The source of a module and the places in it; Sphinx's own parser fails at a decorator that unpacks a dict."""
    try:
        code = inspect.getsource(import_module(modname))
    except (OSError, TypeError):
        return None
    tags = {}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                start = min(part.lineno for part in (child, *child.decorator_list))
                tags[prefix + child.name] = (
                    "class" if isinstance(child, ast.ClassDef) else "def",
                    start,
                    child.end_lineno,
                )
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(code), "")
    return code, tags


def follow_estimator(app, modname, fullname):
    """The module with the code of an estimator, which names its folder as its module; None for all other objects."""
    thing = getattr(import_module(modname), fullname, None)
    if not inspect.isclass(thing) or thing.__name__ not in sklearn_ot.ESTIMATORS:
        return None
    return next(member.__module__ for member in vars(thing).values() if inspect.isfunction(member))


def setup(app):
    app.connect("viewcode-find-source", find_source)
    app.connect("viewcode-follow-imported", follow_estimator)
    # These run before numpydoc, whose priority is 500, parses the docstring.
    app.connect("autodoc-process-docstring", quote_attributes_in_shapes, priority=400)
    app.connect("autodoc-process-docstring", link_guides_of_others, priority=400)
    app.connect("autodoc-process-docstring", break_formulas, priority=400)
