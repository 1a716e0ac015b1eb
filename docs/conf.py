"""Builds the documents as pages: sphinx-build -W docs out/docs (extra `docs`)."""

import importlib.metadata
import re
from typing import Any

project = "bnnjax"
author = "the authors of bnnjax"
release = importlib.metadata.version("bnnjax")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # tests run the notebooks

# Docstrings say `name` for names, as Markdown does; those that are not public stay plain code.
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_ivar = True

html_theme = "sphinx_book_theme"
html_title = "bnnjax"
html_theme_options = {"show_navbar_depth": 1, "show_toc_level": 2}


def setup(app: Any) -> None:
    """Connects `escape` to Sphinx."""
    app.connect("autodoc-process-docstring", escape)


def escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps |x|, an absolute value, from being taken for a substitution of reStructuredText."""
    for number, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)
        lines[number] = "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in parts)
