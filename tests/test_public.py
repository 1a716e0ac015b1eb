"""The public surface: every promised name exists, is documented, and follows the conventions."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import bnnjax

ROOMS = ("atlas", "attack", "film", "images", "judge", "layers", "many", "optimize", "quant")
PAGES = Path(__file__).parents[1] / "docs" / "api"
PUBLIC = [
    (module, name)
    for module in ("bnnjax", *(f"bnnjax.{room}" for room in ROOMS))
    for name in importlib.import_module(module).__all__
    if name not in ("Features", "Quantizer")  # aliases of types, which cannot have a docstring
]
SIGNATURES = {
    "load_model": "model=, *, preprocessing=",
    "freeze": "network",
    "thaw": "network",
    "register": "entry",
    "networks": "",
}


def found(module, name):
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_is_there_and_documented(module, name):
    assert len(inspect.getdoc(found(module, name)) or "") > 15


def test_every_room_has_a_page_of_the_reference():
    """Whether its names are on it is measured by the documents' coverage (.ci/run)."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES.glob("*.md"))
    index = (PAGES.parent / "index.md").read_text("utf-8")
    pages = {f"bnnjax.{room}" for room in ROOMS} | {"bnnjax"}
    assert pages <= set(re.findall(r"automodule:: (\S+)", text))
    assert all(f"api/{page.stem}\n" in index for page in PAGES.glob("*.md"))


@pytest.mark.parametrize("module", ["bnnjax", *(f"bnnjax.{room}" for room in ROOMS)])
def test_names_are_listed_once_and_in_order(module):
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(importlib.import_module(module)))


@pytest.mark.parametrize(
    ("module", "name"), [pair for pair in PUBLIC if inspect.isfunction(found(*pair))]
)
def test_options_are_keywords(module, name):
    """Arguments with defaults are keyword-only, except for optional data."""
    may_be_left_out = {"model", "data", "weights"}
    for parameter in inspect.signature(found(module, name)).parameters.values():
        has_default = parameter.default is not inspect.Parameter.empty
        if has_default and parameter.name not in may_be_left_out:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter


@pytest.mark.parametrize("name", SIGNATURES)
def test_short_signatures_are_as_promised(name):
    parts, starred = [], False
    for parameter in inspect.signature(getattr(bnnjax, name)).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        has_default = parameter.default is not inspect.Parameter.empty
        parts.append(parameter.name + "=" * has_default)
    assert ", ".join(parts) == SIGNATURES[name]


def test_the_version_is_the_packages():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", bnnjax.__version__)


def test_networks_are_listed_by_name():
    names = bnnjax.networks()
    assert {"inknet", "quicknet", "xnornet", "vgg19"} <= set(names)
    assert list(names) == list(dict.fromkeys(names))
