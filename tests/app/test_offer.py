"""Networks, sizes and steps to choose from."""

import pytest

from bnnjax.app import offer
from bnnjax.app.config import AppConfig


def test_networks_on_offer(toy_file, known, tmp_path):
    offered = offer.networks(AppConfig())
    assert next(iter(offered)) == "inknet"
    assert {"quicknet_v0", "vgg19"} <= set(offered)
    assert "toy" not in offered  # it cannot be downloaded
    assert offer.networks(AppConfig(models=("inknet", str(toy_file)))) == {
        "inknet": "inknet",
        "toy": str(toy_file),
    }
    with pytest.raises(ValueError, match="two networks are called toy"):
        offer.networks(AppConfig(models=(str(toy_file), str(toy_file))))
    with pytest.raises(ValueError, match="did you mean 'inknet'"):
        offer.networks(AppConfig(models=("ink",)))
    with pytest.raises(ValueError, match="no such file"):
        offer.networks(AppConfig(models=(str(tmp_path / "none.safetensors"),)))


def test_what_is_not_allowed_is_not_offered():
    found = offer.describe(AppConfig(largest=500, most_steps=300), [], {"inknet": "inknet"})
    assert found["sizes"] == [224, 320, 448]
    assert found["steps"] == [100, 200]
    assert offer.describe(AppConfig(largest=64), [], {})["sizes"] == [64]
