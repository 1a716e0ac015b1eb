"""Builds the documents as pages: sphinx-build -W docs out/docs (extra `docs`).

sphinx-build -q -W -b coverage docs out/coverage: how much of the public API is on these pages.
"""

import importlib
import importlib.metadata
import inspect
import re
from typing import Any

project = "bnnjax"
author = "the authors of bnnjax"
release = importlib.metadata.version("bnnjax")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.coverage",
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

# Of all modules that a page of api/ describes; with -q, each name that is missing is a warning.
coverage_show_missing_items = True
coverage_statistics_to_stdout = True

html_theme = "sphinx_book_theme"
html_title = "bnnjax"
html_theme_options = {"show_navbar_depth": 1, "show_toc_level": 2}


def setup(app: Any) -> None:
    """Connects `escape` and `claim` to Sphinx."""
    app.connect("autodoc-process-docstring", escape)
    app.connect("write-started", claim)


def escape(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps |x|, an absolute value, from being taken for a substitution of reStructuredText."""
    for number, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)
        lines[number] = "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in parts)


def claim(app: Any, builder: Any) -> None:
    """Makes a room the home of what it exports, for the coverage.

    It counts only what a module itself defines, and would leave these names out.
    """
    if builder.name != "coverage":
        return
    for room in sorted(app.env.domaindata["py"]["modules"], reverse=True):  # `bnnjax` is the last
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            if inspect.isclass(vars(module)[name]) or inspect.isfunction(vars(module)[name]):
                vars(module)[name].__module__ = room
