"""The names in docs/from_larq.md exist, and its programs run."""

import importlib
import re
from pathlib import Path

import pytest

from bnnjax.models import registry

GUIDE = (Path(__file__).parents[1] / "docs" / "from_larq.md").read_text("utf-8")
OURS = sorted(set(re.findall(r"`(bnnjax(?:\.\w+)+)`", GUIDE)))
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("name", OURS)
def test_names_exist(name):
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        assert callable(found)
        return
    pytest.fail(f"no module of {name}")


def test_the_guide_mentions_names():
    assert len(OURS) > 25
    assert "bnnjax.layers.QuantConv3DTranspose" in OURS


def test_the_programs_run(tmp_path, monkeypatch, keras_layers, write_keras):
    """In order, in a directory with a file of Larq's."""
    monkeypatch.chdir(tmp_path)
    write_keras(tmp_path / "quicknet.h5", keras_layers(registry.find("quicknet")))
    assert len(BLOCKS) == 3
    names = {}
    for block in BLOCKS:
        exec(block, names)
    assert names["network"].entry.name == "quicknet"
    assert names["logits"].shape == (1, 1000)
    assert names["packed"].keys() == {"words"}
    assert names["y"].shape == (1, 9, 9, 8)
