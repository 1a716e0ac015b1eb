"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "bnnjax").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
SLOW = {"bnnjax.models.forms"}  # these examples convert a whole network
# What every example may use without importing it, besides the names of its own module.
USUAL = {"bnnjax": bnnjax, "jax": jax, "jnp": jnp, "np": np}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in MODULES]
)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs=USUAL, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
