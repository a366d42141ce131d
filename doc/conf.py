"""Configuration of the documentation; `make docs` builds it."""

import os
import re
from datetime import date

import sklearn_ot

project = "sklearn_ot"
author = "The sklearn_ot developers"
project_copyright = f"{date.today().year}, {author}"
release = version = sklearn_ot.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
# A name in single backticks becomes a link if it is known, as in scikit-learn's docstrings.
default_role = "autolink"

autosummary_generate = True
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The demo trains for minutes and is not part of the gallery.
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"demo_",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("sklearn_ot",),
    "backreferences_dir": "generated",
    "reference_url": {"sklearn_ot": None},
    "show_memory": False,
}

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
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"install": [], "api": []}


def quote_attributes_in_shapes(app, what, name, obj, options, lines):
    """Quote the ``n_features_in_`` of a shape: reStructuredText takes a trailing underscore for a link."""
    shape = re.compile(r"(?<=of shape )\([^)]*\)")
    lines[:] = [shape.sub(lambda match: re.sub(r"\b\w+_\b", r"``\g<0>``", match[0]), line) for line in lines]


def setup(app):
    # This runs before numpydoc, whose priority is 500, parses the docstring.
    app.connect("autodoc-process-docstring", quote_attributes_in_shapes, priority=400)
