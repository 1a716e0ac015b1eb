"""Freezing and thawing, exactly."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv
from bnnjax.models import registry
from bnnjax.models.entry import Sizes
from bnnjax.models.forms import freeze, thaw
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped

BLOCKS = (2, 3, 4, 4)
SIGNS = {"input_quantizer": quant.ste_sign, "kernel_quantizer": quant.ste_sign}


@pytest.fixture(scope="module")
def thawed(frozen_quicknet):
    return thaw(frozen_quicknet)


def leaves(network):
    return {path: np.asarray(leaf) for path, leaf in flatten_dict(network.variables).items()}


def assert_same(network, expected):
    ours, theirs = leaves(network), leaves(expected)
    assert ours.keys() == theirs.keys()
    for path, leaf in ours.items():
        assert leaf.dtype == theirs[path].dtype, path
        np.testing.assert_array_equal(leaf, theirs[path], err_msg=path)


def sign(x):
    return np.where(x >= 0, 1, -1)


@pytest.mark.slow
def test_each_form_has_the_variables_of_its_architecture(latent_quicknet, frozen_quicknet, thawed):
    architecture = latent_quicknet.architecture
    latent, frozen = architecture.latent_shapes(), architecture.frozen_shapes()
    pairs = ((latent_quicknet, latent), (frozen_quicknet, frozen), (thawed, latent))
    for network, shapes in pairs:
        assert network.frozen == (shapes is frozen)
        assert network.architecture == architecture
        expected = flatten_dict(shapes)
        ours = flatten_dict(network.variables)
        assert {path: (leaf.shape, leaf.dtype) for path, leaf in ours.items()} == {
            path: (leaf.shape, leaf.dtype) for path, leaf in expected.items()
        }


@pytest.mark.slow
def test_only_the_form_changes(latent_quicknet):
    other = latent_quicknet.with_options(pooling="avg", clip=None)
    frozen = freeze(other)
    assert frozen.entry is other.entry
    assert frozen.architecture.options == other.architecture.options
    assert frozen.provenance == other.provenance


@pytest.mark.slow
def test_freezing_packs_signs_and_folds_norms(latent_quicknet, frozen_quicknet):
    latent, packed = leaves(latent_quicknet), leaves(frozen_quicknet)
    kinds = set()
    for path, leaf in packed.items():
        layer, kind = path[:-1], path[-1]
        if kind == "words":
            kernel = latent[(*layer, "kernel")]
            bits = np.unpackbits(
                np.moveaxis(leaf, 2, 3).copy().view(np.uint8), axis=-1, bitorder="little"
            )
            np.testing.assert_array_equal(np.moveaxis(bits, 3, 2), kernel >= 0, err_msg=path)
        elif kind == "multiplier" or (*layer, "multiplier") in packed:
            statistics = ("batch_stats", *layer[1:])
            deviation = np.sqrt(latent[(*statistics, "var")].astype(np.float64) + 1e-5)
            expected = latent[(*layer, "scale")] / deviation
            if kind == "bias":
                expected = latent[(*layer, "bias")] - latent[(*statistics, "mean")] * expected
            np.testing.assert_allclose(leaf, expected, rtol=1e-6, atol=1e-6, err_msg=path)
        else:
            np.testing.assert_array_equal(leaf, latent[path], err_msg=path)
        kinds.add(kind)
    assert kinds == {"words", "multiplier", "bias", "kernel"}


@pytest.mark.slow
def test_thawing_gives_signs_and_equivalent_norms(latent_quicknet, frozen_quicknet, thawed):
    latent, packed = leaves(latent_quicknet), leaves(frozen_quicknet)
    for path, leaf in leaves(thawed).items():
        layer, kind = path[:-1], path[-1]
        if kind == "kernel" and path[1].startswith("section"):
            np.testing.assert_array_equal(leaf, sign(latent[path]), err_msg=path)
        elif kind == "scale":
            # x / √(var + ε) must equal x, or the multiplier would not be recovered.
            var = leaves(thawed)[("batch_stats", *layer[1:], "var")]
            multiplier = leaf / np.sqrt(var + np.float32(1e-5))
            np.testing.assert_array_equal(multiplier, packed[(*layer, "multiplier")], err_msg=path)
        elif kind == "mean":
            assert not leaf.any(), path


@pytest.mark.slow
def test_freezing_a_thawed_network_restores_it_exactly(frozen_quicknet, thawed):
    assert_same(freeze(thawed), frozen_quicknet)


@pytest.mark.slow
def test_a_norm_without_scale_and_bias_survives_the_round_trip(frozen):
    """QuickNet of zoo 2.x has one. Its multiplier passes through a variance, so it is not exact."""
    before = leaves(frozen("quicknet"))
    after = leaves(freeze(thaw(frozen("quicknet"))))
    assert after.keys() == before.keys()
    for path, leaf in after.items():
        rtol = 1e-4 if path[1] == "stem_depthwise_norm" else 0
        np.testing.assert_allclose(leaf, before[path], rtol=rtol, err_msg=path)


@pytest.mark.parametrize(
    ("collection", "layer", "array"),
    [("params", "section2_block1_conv", "kernel"), ("batch_stats", "stem_norm", "var")],
)
def test_the_error_names_the_layer_that_cannot_be_frozen(latent_quicknet, collection, layer, array):
    variables = flatten_dict(latent_quicknet.variables)
    path = (collection, layer, array)
    variables[path] = jnp.full_like(variables[path], jnp.nan)
    broken = dataclasses.replace(latent_quicknet, variables=unflatten_dict(variables))
    with pytest.raises(ValueError, match=f"{layer}: .*not finite"):
        freeze(broken)


@pytest.mark.slow
def test_binary_convolutions_of_both_forms_give_the_same_integers(latent_quicknet, frozen_results):
    """Each latent layer gets the input of its counterpart in the frozen network.

    Whole networks are not compared, because two compiled programs may round floats between the
    layers differently, and the sign of a float near 0 then flips.
    """
    taps = frozen_results.taps
    inputs, before = {}, "stem"
    for section, count in enumerate(BLOCKS, start=1):
        for block in range(1, count + 1):
            inputs[f"section{section}_block{block}_conv"] = taps[before]
            before = f"section{section}_block{block}"

    @partial(jax.jit, static_argnums=2)  # compiled once per shape, not once per layer
    def latent_layer(kernel, x, stride):
        layer = QuantConv(x.shape[3], strides=(stride, stride), pad_values=1, **SIGNS)
        return layer.apply({"params": {"kernel": kernel}}, x)

    for name, x in inputs.items():
        kernel = latent_quicknet.variables["params"][name]["kernel"]
        expected = latent_layer(kernel, x, x.shape[1] // taps[name].shape[1])
        np.testing.assert_array_equal(taps[name], expected, err_msg=name)
        assert expected.std() > 1, name


# --- other networks --------------------------------------------------------------------------


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = QuantConv(45, (1, 2), **SIGNS, name="conv")(x)
        return BatchNorm(epsilon=1e-3, momentum=0.9, name="norm")(x)


class Nested(Tapped):
    """Nested layers, channels that do not fill their words, and a parameter of the module."""

    options: Options = Options()
    num_classes: int | None = 3

    @nn.compact
    def __call__(self, x):
        x = self.tap("block", Block(name="block")(x))
        x = x * self.param("gain", nn.initializers.ones, ())
        return nn.Dense(self.num_classes, name="dense")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def nested():
    entry = dataclasses.replace(
        registry.find("quicknet_v0"),
        name="nested",
        build=Nested,
        normalize=lambda images: images - 0.5,
        sizes=Sizes(lambda side: True, stride=8),
    )
    architecture = Architecture(entry, Options(), num_classes=3)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.1, 2, leaf.shape) * rng.choice([-1, 1], leaf.shape)),
        architecture.latent_shapes(),
    )
    variables["batch_stats"] = jax.tree.map(abs, variables["batch_stats"])
    return Network(architecture, variables, {"source": "random"})


@pytest.mark.slow
def test_nested_layers_and_unfilled_words_survive_the_round_trip(nested):
    frozen = freeze(nested)
    thawed = thaw(frozen)
    latent, packed, again = (
        network.variables["params"]["block"]["conv"] for network in (nested, frozen, thawed)
    )
    assert packed["words"].shape == (1, 2, 1, 45)
    np.testing.assert_array_equal(again["kernel"], sign(np.asarray(latent["kernel"])))
    assert_same(freeze(thawed), frozen)
    # Primitive operations, so that no compiler rounds one of them differently.
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 4, 5, 3)), jnp.float32)
    logits, taps = nested.apply(nested.variables, images)
    for network in (frozen, thawed):
        again, again_taps = network.apply(network.variables, images)
        np.testing.assert_array_equal(again_taps["block"], taps["block"])
        np.testing.assert_array_equal(again, logits)


# --- networks in the other form already ------------------------------------------------------


def test_a_frozen_network_is_not_frozen_again(frozen_quicknet):
    with pytest.raises(ValueError, match=r"^quicknet_v0 is frozen already; freeze needs latent"):
        freeze(frozen_quicknet)


def test_a_latent_network_is_not_thawed(latent_quicknet):
    with pytest.raises(ValueError, match=r"^quicknet_v0 is latent already; thaw needs a frozen"):
        thaw(latent_quicknet)


def test_a_float_network_is_ready_in_its_only_form():
    architecture = Architecture.published(registry.find("vgg19_conv5_1"))
    assert architecture.latent_shapes() == architecture.frozen_shapes()
    network = Network(architecture, architecture.latent_shapes(), {})
    assert network.frozen
    for change in (freeze, thaw):
        assert flatten_dict(change(network).variables["params"]) == flatten_dict(
            network.variables["params"]
        )
