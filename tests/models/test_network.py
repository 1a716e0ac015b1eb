"""Architecture and Network: what they refuse, what they leave out, how options change them."""

import dataclasses
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models.network import Architecture


def one_tap(network, tap):
    """One tap alone, as a function of (variables, images)."""
    return lambda variables, images: network.apply(variables, images)[1][tap]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype(np.float32)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 3, 32, 32), (1, 32, 32, 4), (1, 1, 32, 32, 3)])
def test_other_shapes_are_refused(quicknet, shape):
    with pytest.raises(ValueError, match=re.escape(f"shape {shape}, need [N, height, width, 3]")):
        quicknet.apply(quicknet.variables, jnp.zeros(shape))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_integers_are_refused(quicknet, dtype):
    with pytest.raises(ValueError, match=f"images are {dtype}, need floats.*divide bytes by 255"):
        quicknet.apply(quicknet.variables, jnp.zeros((1, 32, 32, 3), dtype))


# --- what is computed ------------------------------------------------------------------------


def test_images_are_normalized_first(quicknet, images):
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalized = (images - np.float32(mean)) / np.float32(deviation)
    module = quicknet.architecture.module
    tap = jax.jit(one_tap(quicknet, "stem_conv"))(quicknet.variables, images)
    apply = jax.jit(partial(module.apply, mutable=["taps"]))
    expected = apply(quicknet.variables, normalized)[1]["taps"]["stem_conv"]
    np.testing.assert_allclose(tap, expected, rtol=1e-5, atol=1e-5)


def test_layers_behind_the_last_tap_used_are_not_computed(quicknet, images):
    function = jax.jit(one_tap(quicknet, "section2_block1"))
    compiled = function.lower(quicknet.variables, images).compile()
    text = compiled.as_text()
    for name in ("stem_conv", "section1_block2", "section2_block1"):  # the names do appear
        assert name in text
    for name in ("section2_block2", "section3", "section4", "dense/"):
        assert name not in text
    used = [
        leaf.nbytes
        for path, leaf in flatten_dict(quicknet.variables).items()
        if path[1].startswith(("stem", "section1", "section2_block1"))
    ]
    weights = compiled.memory_analysis().argument_size_in_bytes - images.nbytes
    assert weights == sum(used)  # nothing else is even handed over


def test_equal_architectures_share_a_compilation(quicknet, images):
    traces = []

    def stem(architecture, variables, images):
        traces.append(architecture)
        return architecture.apply(variables, images)[1]["stem_conv"]

    jitted = jax.jit(stem, static_argnums=0)
    architecture = quicknet.architecture
    equal = Architecture(architecture.entry, dataclasses.replace(architecture.options), 1000)
    for same in (architecture, equal, quicknet.with_options().architecture):
        jitted(same, quicknet.variables, images)
    assert len(traces) == 1
    jitted(quicknet.with_options(pooling="avg").architecture, quicknet.variables, images)
    assert len(traces) == 2


# --- options ---------------------------------------------------------------------------------


def value_and_gradient(network, tap, images):
    @jax.jit
    def both(variables, images):
        y, pull_back = jax.vjp(lambda images: one_tap(network, tap)(variables, images), images)
        return y, pull_back(jnp.cos(jnp.arange(y.size)).reshape(y.shape))[0]

    return [np.asarray(array) for array in both(network.variables, images)]


@pytest.fixture(scope="module")
def plain(quicknet, images):
    return value_and_gradient(quicknet, "section1_block1", images)


def test_pseudo_gradients_change_the_gradient_alone(quicknet, images, plain):
    swish = quicknet.with_options(pseudo_gradient="swish_sign")
    y, gradient = value_and_gradient(swish, "section1_block1", images)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    assert np.isfinite(gradient).all()
    assert abs(gradient - plain[1]).max() > 0.05 * abs(plain[1]).max()


def test_backends_agree(quicknet, images, plain):
    packed, dense = (quicknet.with_options(backend=name) for name in ("packed", "dense"))
    for network, counts in ((packed, True), (dense, False)):
        jaxpr = str(jax.make_jaxpr(network.apply)(network.variables, images))
        assert ("population_count" in jaxpr) == counts
    y, gradient = value_and_gradient(dense, "section1_block1", images)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    # Two products of a bfloat16 each, whose roundings do not add up in the same direction.
    off = np.linalg.norm(gradient - plain[1]) / np.linalg.norm(plain[1])
    assert off < 2.0**-7


def test_laying_kernels_out_changes_nothing(quicknet, images, plain):
    laid_out = quicknet.laid_out()
    assert laid_out.keys() == {"params", "backward"}
    kernels = flatten_dict(laid_out["backward"])
    words = {
        path[1]: leaf.shape
        for path, leaf in flatten_dict(quicknet.variables).items()
        if path[-1] == "words"
    }
    assert {path[0]: leaf.shape for path, leaf in kernels.items()} == {
        name: (o, kh * kw * 32 * w) for name, (kh, kw, w, o) in words.items()
    }
    network = dataclasses.replace(quicknet, variables=laid_out)
    y, gradient = value_and_gradient(network, "section1_block1", images)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, plain[1], rtol=1e-4, atol=1e-5 * abs(plain[1]).max())


def test_with_options_leaves_the_network_alone(quicknet):
    before = quicknet.architecture.options
    other = quicknet.with_options(pooling="avg", clip=2.0)
    assert quicknet.architecture.options == before
    assert other.architecture.options == dataclasses.replace(before, pooling="avg", clip=2.0)
    assert other.variables is quicknet.variables
    assert other.entry is quicknet.entry


def test_wrong_options_are_refused(quicknet):
    with pytest.raises(ValueError, match="pooling is 'mean'"):
        quicknet.with_options(pooling="mean")
    with pytest.raises(ValueError, match="no option 'clp'; did you mean 'clip'"):
        quicknet.with_options(clp=2)
