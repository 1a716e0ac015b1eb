"""Whole training runs: what may be combined, and the file that a run leaves."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from bnnjax import load_model
from bnnjax.models import registry
from bnnjax.train.config import TrainConfig
from bnnjax.train.run import train_on_photographs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of two classes with 20 grainy pictures each, whose class is their colour."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir()
        for number in range(20):
            pixels = rng.integers(level - 40, level + 40, (48, 48, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preprocessing": "unit"}, "preprocessing is that of init; give both"),
        ({"init": "inknet", "model": "inknet"}, "leave model out"),
        ({"model": "inknot"}, "inknet"),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_photographs_are_read(
    tmp_path, options, message
):
    with pytest.raises(ValueError, match=message):
        train_on_photographs(tmp_path / "none", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_returns_the_network_that_it_saved(folders, tmp_path, narrow, monkeypatch):
    monkeypatch.setitem(registry.REGISTRY, "narrow", dataclasses.replace(narrow))
    config = TrainConfig(epochs=4, batch_size=12, sides=(32,), hint_taps=("stem",))
    options = {"model": "narrow", "config": config, "progress": False}
    network = train_on_photographs(folders, tmp_path, **options)
    assert network.class_names == ("dark", "light")
    picture = np.full((1, 32, 32, 3), 0.8, np.float32)
    saved = load_model(tmp_path / "network.safetensors")
    np.testing.assert_array_equal(saved(picture)[0], network(picture)[0])
    assert saved(picture)[0].argmax() == 1
    again = train_on_photographs(folders, tmp_path, **options)  # there is nothing left to do
    np.testing.assert_array_equal(again(picture)[0], network(picture)[0])
