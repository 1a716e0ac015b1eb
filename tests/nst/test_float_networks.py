"""A few steps through each float network with its preset; weights from seeds."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import bnnjax
from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.nst.config import PRESETS, split_choices


def with_random_weights(name):
    """Without its classifier, kernels after which ReLU keeps activations of one size."""
    entry = registry.find(name)
    architecture = Architecture(entry, entry.options, None)
    rng = np.random.default_rng(0)
    params = {}
    for path, leaf in flatten_dict(architecture.latent_shapes()["params"]).items():
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1])) if path[-1] == "kernel" else 0.1
        params[path] = jnp.asarray(deviation * rng.standard_normal(leaf.shape, np.float32))
    return Network(architecture, {"params": unflatten_dict(params)}, {"source": "random"})


@pytest.mark.parametrize("name", ["vgg16", "vgg19", "vgg19_conv5_1", "inception_v1"])
def test_every_float_network_has_a_preset_that_paints(name, make_picture):
    network = with_random_weights(name)
    photograph, painting = make_picture(0), make_picture(1)
    choices = {"model": network, "size": 64, "progress": False}
    result = bnnjax.stylize_batch(photograph, painting, steps=10, **choices)
    own = split_choices({"size": 64, "steps": 10}, preset=name)
    assert (result.config, result.weights) == own
    other = bnnjax.stylize_batch(photograph, painting, steps=1, preset="default", **choices)
    assert other.weights == split_choices({})[1]
    picture = result.images[0]
    assert picture.shape == (64, 64, 3)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert np.abs(picture - photograph).mean() > 0.001
    losses = result.losses[0]["total"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_made_of_choices(name):
    config, weights = split_choices({}, preset=name)
    for choice, value in PRESETS[name].items():
        assert getattr(config, choice, getattr(weights, choice, None)) == value
