"""Architecture and Network: bad input, results, options, and what they say about themselves."""

import dataclasses
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

from bnnjax.layers import BatchNorm, Options, QuantConv
from bnnjax.models import network as network_module
from bnnjax.models import registry
from bnnjax.models.entry import Entry, Sizes
from bnnjax.models.forms import thaw
from bnnjax.models.network import Architecture, Network


def one_tap(network, tap):
    """One tap alone, as a function of (variables, images)."""
    return lambda variables, images: network.apply(variables, images)[1][tap]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype(np.float32)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 3, 32, 32), (1, 32, 32, 4), (1, 1, 32, 32, 3)])
def test_other_shapes_are_refused(quicknet, shape):
    with pytest.raises(ValueError, match=re.escape(f"shape {shape}, need [N, height, width, 3]")):
        quicknet.apply(quicknet.variables, jnp.zeros(shape))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_integers_are_refused(quicknet, dtype):
    with pytest.raises(ValueError, match=f"images are {dtype}, need floats.*divide bytes by 255"):
        quicknet.apply(quicknet.variables, jnp.zeros((1, 32, 32, 3), dtype))


# --- what is computed ------------------------------------------------------------------------


@pytest.mark.slow
def test_images_are_normalized_first(quicknet, images):
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalized = (images - np.float32(mean)) / np.float32(deviation)
    module = quicknet.architecture.module
    tap = jax.jit(one_tap(quicknet, "stem_conv"))(quicknet.variables, images)
    apply = jax.jit(partial(module.apply, mutable=["taps"]))
    expected = apply(quicknet.variables, normalized)[1]["taps"]["stem_conv"]
    np.testing.assert_allclose(tap, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
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
    assert weights == sum(used)  # no other array is passed


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


@pytest.mark.slow
def test_pseudo_gradients_change_the_gradient_alone(quicknet, images, plain):
    swish = quicknet.with_options(pseudo_gradient="swish_sign")
    y, gradient = value_and_gradient(swish, "section1_block1", images)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    assert np.isfinite(gradient).all()
    assert abs(gradient - plain[1]).max() > 0.05 * abs(plain[1]).max()


@pytest.mark.slow
def test_backends_agree(quicknet, images, plain):
    packed, dense = (quicknet.with_options(backend=name) for name in ("packed", "dense"))
    for network, counts in ((packed, True), (dense, False)):
        jaxpr = str(jax.make_jaxpr(network.apply)(network.variables, images))
        assert ("population_count" in jaxpr) == counts
    y, gradient = value_and_gradient(dense, "section1_block1", images)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    # Two products with one bfloat16 each, whose roundings do not add up.
    off = np.linalg.norm(gradient - plain[1]) / np.linalg.norm(plain[1])
    assert off < 2.0**-7


@pytest.mark.slow
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


# --- what a network says about itself, and calling it ----------------------------------------


def test_calling_a_network_agrees_with_apply_and_orders_the_taps(quicknet, images):
    logits, taps = quicknet(images)
    expected = jax.jit(quicknet.apply)(quicknet.variables, images)
    np.testing.assert_array_equal(logits, expected[0])
    assert tuple(taps) == quicknet.taps
    assert taps.keys() == expected[1].keys()
    for name, tap in expected[1].items():
        np.testing.assert_array_equal(taps[name], tap)


def test_a_network_called_twice_is_compiled_once(quicknet, images):
    quicknet(images)
    compiled = network_module._compiled._cache_size()
    dataclasses.replace(quicknet)(images)
    assert network_module._compiled._cache_size() == compiled


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_floats_are_computed_with_as_float32(quicknet, images, dtype):
    rounded = jnp.asarray(images, dtype) if dtype != "float64" else images.astype(dtype)
    tap = jax.jit(one_tap(quicknet, "stem_conv"))
    found = tap(quicknet.variables, rounded)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, tap(quicknet.variables, np.float32(rounded)))


@pytest.mark.slow
def test_a_repr_is_one_line_that_names_what_matters(quicknet):
    assert repr(quicknet) == "<Network quicknet_v0: 10.5 M parameters, packed, 1000 classes>"
    latent = repr(thaw(quicknet))
    assert latent == "<Network quicknet_v0: 10.5 M parameters, latent, 1000 classes>"
    vgg = Architecture(registry.find("vgg16"), Options(), num_classes=None)
    network = Network(vgg, vgg.latent_shapes(), {})
    assert repr(network) == "<Network vgg16: 14.7 M parameters, float, no classifier>"
    assert len(repr(quicknet.architecture)) < 300


def test_names_are_those_of_the_registry(quicknet):
    assert quicknet.name == "quicknet_v0"
    assert quicknet.class_names is None
    named = dataclasses.replace(quicknet, class_names=("cat",))
    assert named.with_options(clip=None).class_names == ("cat",)


def test_an_architecture_as_published_may_be_changed():
    entry = registry.find("quicknet")
    assert Architecture.published(entry) == Architecture(entry, entry.options, 1000)
    changed = Architecture.published(entry, num_classes=None)
    assert changed == Architecture(entry, entry.options, None)


class Plain(nn.Module):
    """A user's network with neither taps nor options."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x.mean((1, 2)))


class Trainable(nn.Module):
    """A binary layer with a clip, and a norm."""

    @nn.compact
    def __call__(self, x, *, train=False):
        kernel = {"kernel_quantizer": "ste_sign", "weight_clip": 1.25}
        x = QuantConv(4, 3, input_quantizer="ste_sign", name="conv", **kernel)(x)
        return BatchNorm(1e-3, 0.9, name="norm")(x, train=train).mean((1, 2))


@pytest.mark.slow
def test_initial_variables_are_latent_and_depend_on_the_key():
    sizes = Sizes(lambda side: True, stride=8)
    entry = Entry("trainable", lambda **_: Trainable(), lambda x: x, sizes)
    architecture = Architecture.published(entry)
    first, same, other = (architecture.init(jax.random.key(seed)) for seed in (0, 0, 1))
    assert first.keys() == {"params", "batch_stats", "weight_clip"}
    kernels = [each["params"]["conv"]["kernel"] for each in (first, same, other)]
    assert kernels[0].shape == (3, 3, 3, 4)
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()
    np.testing.assert_array_equal(first["batch_stats"]["norm"]["var"], np.ones(4))
    assert first["weight_clip"]["conv"]["kernel"] == 1.25


@pytest.mark.slow
def test_a_module_without_taps_or_options_is_a_network(images):
    entry = Entry("plain", lambda **_: Plain(), lambda x: x, Sizes(lambda side: True, stride=8))
    architecture = Architecture.published(entry)
    assert architecture.taps == ()
    variables = architecture.init(jax.random.key(0))
    logits, taps = Network(architecture, variables, {})(images)
    assert logits.shape == (1, 3)
    assert taps == {}


# --- training --------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_gives_logits_taps_and_changed_statistics(quicknet, images):
    latent = thaw(quicknet)
    architecture = latent.architecture
    logits, taps, stats = jax.jit(architecture.train)(latent.variables, images)
    assert logits.shape == (1, 1000)
    assert taps.keys() == set(architecture.taps)
    before = flatten_dict(latent.variables["batch_stats"])
    after = flatten_dict(stats)
    assert after.keys() == before.keys()
    path = ("stem_norm", "mean")
    batch_mean = taps["stem_depthwise"].mean((0, 1, 2))
    np.testing.assert_allclose(after[path], 0.1 * batch_mean, rtol=1e-4, atol=1e-6)


def test_a_frozen_network_is_not_trained(quicknet, images):
    with pytest.raises(ValueError, match="a folded batch norm cannot be trained; thaw"):
        jax.eval_shape(quicknet.architecture.train, quicknet.variables, images)
