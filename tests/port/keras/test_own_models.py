"""Whole Keras models compute what real Larq computed with them, in all forms and file formats.

The models and Larq's results are in reference/own_models.npz; reference/own_models.py made them.
"""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import bnnjax
from bnnjax import quant
from bnnjax.binary.backend import using
from bnnjax.port import load, verify
from bnnjax.port.storage import network_file

pytest.importorskip("h5py")

# Sums of floats in another order, relative to the largest value; we measured 2e-6.
CLOSE = 1e-5
SLOW = (
    *("face", "sequential", "branches", "quantizers", "axes", "decoder"),
    *("activations", "windows", "operations"),
)
EACH = ["nested", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def assert_close(found, expected, tolerance=CLOSE):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def compute(network, x, cotangent):
    """Logits, the gradient of the picture, and the sums of quantized layers in the order of their
    calls."""
    sums = []

    def record(call, args, kwargs, context):
        layer, result = context.module, call(*args, **kwargs)
        if context.method_name == "__call__" and hasattr(layer, "kernel_quantizer"):
            bias = layer.get_variable("params", "bias") if layer.use_bias else 0
            sums.append((layer.path, result - bias))
        return result

    @jax.jit
    def logits_and_gradient(variables, x):
        sums.clear()
        with using(network.architecture.options.arithmetic), nn.intercept_methods(record):
            logits, pull_back, taken = jax.vjp(
                lambda x: (network.architecture.module.apply(variables, x), dict_of(sums)),
                x,
                has_aux=True,
            )
            return logits, pull_back(jnp.asarray(cotangent))[0], taken

    return logits_and_gradient(network.variables, jnp.asarray(x))


def dict_of(sums):
    """By Larq's name of the layer and the number of the call."""
    calls, found = Counter(), {}
    for path, value in sums:
        name = path[0].split(".")[-1]
        if path[-1] != "depthwise":  # which is followed by the pointwise half
            found[f"sums/{name}/{calls[name]}"] = value
            calls[name] += 1
    return found


@pytest.fixture(scope="module", params=EACH)
def case(request, own_model, draws):
    """What Larq and the packed network compute."""
    own = own_model(request.param)
    network = load.port_file(own.path, preprocessing="unit")
    network = network.with_options(gradient_dtype="float32", backend="packed")
    x = draws.picture(request.param, own.answers["gradient"].shape[1])
    return own.answers, compute(network, x, draws.cotangent(request.param, 5))


@pytest.mark.slow
def test_logits_are_larqs(case):
    answers, (logits, _, _) = case
    assert_close(logits, answers["logits"])


@pytest.mark.slow
def test_the_gradient_of_the_picture_is_larqs(case):
    answers, (_, gradient, _) = case
    assert np.abs(answers["gradient"]).max() > 0
    assert_close(gradient, answers["gradient"])


def test_integers_are_larqs_to_the_last_one(case):
    answers, (_, _, sums) = case
    keys = [key for key in answers if key.startswith("sums/")]
    assert keys
    for key in keys:
        found = np.asarray(sums[key]).reshape(answers[key].shape)  # layers along one axis have rows
        np.testing.assert_allclose(found, np.round(found), rtol=0, atol=1e-4, err_msg=key)
        np.testing.assert_array_equal(np.round(found), answers[key], err_msg=key)


@pytest.mark.slow
def test_latent_weights_compute_the_same(own_model, draws):
    own = own_model("nested")
    network = load.port_file(own.path, frozen=False, preprocessing="unit")
    assert network.form == "latent"
    network = network.with_options(gradient_dtype="float32")
    x = draws.picture("nested", 16)
    logits, gradient, _ = compute(network, x, draws.cotangent("nested", 5))
    assert_close(logits, own.answers["logits"])
    assert_close(gradient, own.answers["gradient"])


# --- files ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own.keras", "whole.h5", "own.weights.h5"])
def test_a_model_of_keras_3_computes_the_same(name, tmp_path, reference_archive):
    archive = reference_archive("keras3")
    for key in archive.files:
        if key.startswith("file "):
            (tmp_path / key.removeprefix("file ")).write_bytes(archive[key].tobytes())
    network = bnnjax.load_model(tmp_path / name, preprocessing="unit")
    logits, taps = network(archive["x"])
    assert_close(jax.nn.softmax(logits), archive["y"])
    assert {"stem", "block.conv", "block.conv@2", "add", "tail"} <= taps.keys()


@pytest.mark.slow
def test_a_ported_model_is_the_same_without_keras(own_model, tmp_path, make_picture):
    """Its network file holds the configuration and the packed weights."""
    network = bnnjax.load_model(own_model("nested").path, preprocessing="symmetric")
    path = network_file.save(network, tmp_path / "own")
    restored = bnnjax.load_model(path)
    assert restored.architecture == network.architecture
    assert restored.entry.normalize is network.entry.normalize
    pictures = make_picture(0, 16, 16)[None]
    np.testing.assert_array_equal(restored(pictures)[0], network(pictures)[0])
    assert path.stat().st_size < own_model("nested").path.stat().st_size / 3


@pytest.mark.slow
def test_a_recipe_loads_the_network_file_with_its_preprocessing(own_model, tmp_path):
    network = bnnjax.load_model(own_model("nested").path, preprocessing="bytes")
    path = network_file.save(network, tmp_path / "own")
    loaded = bnnjax.load_model(path, preprocessing=network.provenance["preprocessing"])
    assert loaded.provenance == network.provenance
    with pytest.raises(ValueError, match=r"preprocessing is chosen for \.h5"):
        bnnjax.load_model(path, preprocessing="unit")


@pytest.mark.slow
def test_a_file_read_twice_compiles_once(own_model):
    first, second = (bnnjax.load_model(own_model("nested").path) for _ in range(2))
    assert first.architecture == second.architecture
    assert hash(first.architecture) == hash(second.architecture)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quantizers", "windows", "decoder"])
def test_a_port_agrees_with_its_file_array_by_array(own_model, name):
    own = own_model(name)
    found = verify.verify(load.port_file(own.path), own.path)
    assert found.agrees
    assert found.arrays > 20
    assert found.bits > 500


@pytest.mark.slow
def test_a_wrong_bit_is_noticed(own_model):
    own = own_model("face")
    network = load.port_file(own.path)
    words = np.array(network.variables["params"]["quant_separable_conv2d"]["pointwise"]["words"])
    words[0, 0, 0, 3] ^= np.uint32(1 << 5)
    network.variables["params"]["quant_separable_conv2d"]["pointwise"]["words"] = jnp.asarray(words)
    assert verify.verify(network, own.path).differing == 1


@pytest.mark.slow
def test_another_model_is_refused(own_model):
    network = load.port_file(own_model("face").path)
    with pytest.raises(ValueError, match=r"holds another model than face\.h5"):
        verify.verify(network, own_model("nested").path)


# --- the network -----------------------------------------------------------------------------


@pytest.mark.slow
def test_taps_are_named_like_layers(own_model):
    network = bnnjax.load_model(own_model("face").path)
    assert {"conv2d", "p_re_lu", "quant_conv2d", "add", "quant_separable_conv2d"} <= {*network.taps}
    assert network.style.style_taps == ("conv2d", "p_re_lu", "add")
    assert network.style.content_taps == ("add",)
    _, taps = jax.eval_shape(network.apply, network.variables, jnp.zeros((1, 24, 24, 3)))
    assert taps["quant_conv2d"].shape == (1, 12, 12, 16)
    assert {len(tap.shape) for tap in taps.values()} == {4}


@pytest.mark.slow
def test_other_sizes_have_taps_but_no_logits_if_a_map_is_flattened(own_model):
    network = bnnjax.load_model(own_model("face").path)
    logits, taps = jax.eval_shape(network.apply, network.variables, jnp.zeros((1, 48, 32, 3)))
    assert logits is None
    assert taps["add"].shape == (1, 24, 16, 16)


@pytest.mark.slow
def test_any_size_has_logits_if_a_mean_ends_the_maps(own_model):
    network = bnnjax.load_model(own_model("quantizers").path)
    logits, _ = jax.eval_shape(network.apply, network.variables, jnp.zeros((2, 20, 36, 3)))
    assert logits.shape == (2, 5)


@pytest.mark.slow
def test_layers_keep_their_own_signs_unless_the_options_change_them(own_model):
    network = bnnjax.load_model(own_model("quantizers").path)
    options = network.architecture.options
    assert (options.pseudo_gradient, options.clip) == ("swish_sign", 1.0)  # the most common
    steps = {step.name: step for step in network.architecture.module.program.steps}
    assert quantizer_of(steps["quant_conv2d"]) is quant.approx_sign
    changed = network.with_options(pseudo_gradient="ste_sign", clip=0.5).architecture.module
    steps = {step.name: step for step in changed.program.steps}
    for name in ("quant_conv2d", "quant_conv2d_1", "quant_conv2d_2"):
        assert quantizer_of(steps[name]).keywords == {"clip": 0.5}
    assert quantizer_of(steps["quant_conv2d_3"]).func is quant.ste_heaviside


def quantizer_of(step):
    return dict(step.options.keywords)["input_quantizer"]


@pytest.mark.slow
def test_latent_weights_can_be_trained(own_model):
    """The statistics of the batch are used and recorded, and the constraints of the file clip."""
    network = load.port_file(own_model("nested").path, frozen=False)
    images = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
    logits, _, stats = network.architecture.train(network.variables, images)
    assert logits.shape == (4, 5)
    before = network.variables["batch_stats"]["block.block_norm"]["mean"]
    assert np.abs(stats["block.block_norm"]["mean"] - before).max() > 0.1
    clips = network.architecture.init(jax.random.key(0))["weight_clip"]
    assert clips["block.block_conv"]["kernel"] == 1.25
