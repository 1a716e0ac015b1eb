"""A few steps through each float network, with random weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import bnnjax
from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.transfer import make_objective, random_jitters

KEY = jax.random.key(0)
EARLY = {"style_taps": ["conv2"], "content_taps": ["inception_3a"]}  # which compile quickly
OPTIONS = {  # each with an option that no other test uses
    "vgg19": {"parametrization": "fourier"},
    "inception_v1": {"pooling": "avg", **EARLY},
}


def with_random_weights(name):
    """A network without its classifier, whose kernels keep the size of activations after ReLU."""
    entry = registry.find(name)
    architecture = Architecture(entry, entry.options, None)
    rng = np.random.default_rng(0)
    params = {}
    for path, leaf in flatten_dict(architecture.latent_shapes()["params"]).items():
        deviation = np.sqrt(2 / np.prod(leaf.shape[:-1])) if path[-1] == "kernel" else 0.1
        params[path] = jnp.asarray(deviation * rng.standard_normal(leaf.shape, np.float32))
    return Network(architecture, {"params": unflatten_dict(params)}, {"source": "random"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vgg19", "vgg19_conv5_1", "inception_v1"])
def test_the_taps_of_every_float_network_suit_style_and_content(name):
    """Its own, at which nothing is computed here."""
    entry = registry.find(name)
    architecture = Architecture.published(entry, num_classes=None)
    variables, config = architecture.latent_shapes(), StylizeConfig()
    network = Network(architecture, variables, {"source": "none"})
    objective = make_objective(network, config)
    picture, jitters = (jax.ShapeDtypeStruct((64, 64, 3), float), random_jitters(KEY, reach=4))
    data = jax.eval_shape(objective.measure, variables, picture, picture, jitters)
    weights = config.weights(1, taps=len(entry.style.style_taps))
    weights = {name: values[0] for name, values in weights.items()}
    _, terms = jax.eval_shape(objective.loss, variables, picture, data, weights, KEY)
    [goal] = data["targets"]["style"]
    assert {*goal.statistics} == {*entry.style.style_taps} != set()
    assert {*data["targets"]["content"]} == {*entry.style.content_taps} != set()
    assert {*terms} == {"content", "style", "tv", "color"}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_float_networks_paint(name, make_picture):
    photograph, painting = (make_picture(seed, 32, 32) for seed in (0, 1))
    network = with_random_weights(name)
    options = {"size": 32, "steps": 5, "jitter": 0, "progress": False, **OPTIONS[name]}
    result = bnnjax.stylize_batch(photograph, painting, model=network, **options)
    picture = result.images[0]
    assert picture.shape == (32, 32, 3)
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1
    assert np.abs(picture - photograph).mean() > 0.001
    losses = result.losses[0]["total"]
    assert losses[-1] < losses[0]
