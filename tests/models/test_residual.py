"""Shortcuts of all residual networks: scaled, cut, or not there."""

import numpy as np
import pytest

from bnnjax.models import registry

RESIDUAL = ["quicknet_small", "inknet", "birealnet", "binary_resnet_e18", "real_to_binary_net"]


@pytest.fixture(scope="module")
def taps_of(with_random_weights):
    """A function (name, residual scale) → taps for one small picture."""
    picture = np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype(np.float32)

    def taps(name, scale):
        network = with_random_weights(registry.find(name)).with_options(residual_scale=scale)
        return network(picture)[1]

    return taps


@pytest.mark.slow
@pytest.mark.parametrize("name", RESIDUAL)
def test_the_first_block_adds_so_much_of_the_stem(taps_of, name):
    whole, half, cut = (taps_of(name, scale) for scale in (1.0, 0.5, 0.0))
    for taps, scale in ((whole, 1.0), (half, 0.5)):
        added = taps["section1_block1"] - cut["section1_block1"]
        np.testing.assert_allclose(added, scale * taps["stem"], atol=1e-4)
    np.testing.assert_array_equal(whole["section1_block1_conv"], cut["section1_block1_conv"])
    assert np.abs(whole["section1"] - cut["section1"]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary_alexnet"])
def test_a_network_without_additions_stays_the_same(taps_of, name):
    whole, cut = taps_of(name, 1.0), taps_of(name, 0.0)
    for tap, values in whole.items():
        np.testing.assert_array_equal(values, cut[tap], tap)
