"""Both forms of quantized layers for any shapes and quantizers, and the clipping of weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax import quant
from bnnjax.binary.backend import Arithmetic
from bnnjax.layers import (
    BatchNorm,
    DepthwiseConv,
    QuantConv,
    QuantDense,
    QuantDepthwiseConv,
    QuantSeparableConv,
    clip_weights,
)

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(
    deadline=None, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
KEY = jax.random.key(0)
SIGNS = ("ste_sign", "approx_sign", "swish_sign")
SCALED = ("magnitude_aware_sign", "magnitude_aware_sign_unclipped", "xnor_weight_scale")
# Up to four bits are bit planes; more bits, and values outside [0, 1], are floats.
FEW_BITS = (
    quant.get("dorefa_quantizer"),
    *(partial(quant.dorefa, k_bit=k_bit) for k_bit in (1, 4, 5)),
    partial(quant.dorefa, k_bit=2, mode="weights"),
)
LEVELS = ("ste_tern", "ste_heaviside", "dorefa_quantizer", "no_op")


def quantizer(name):
    return None if name is None else quant.get(name)


@st.composite
def layers(draw, kernel_quantizers):
    """A latent layer, the shape of its input, and that of its kernel."""
    quantizers = {
        "input_quantizer": draw(st.sampled_from([*map(quant.get, SIGNS), *FEW_BITS, None])),
        "kernel_quantizer": quantizer(draw(st.sampled_from(kernel_quantizers))),
        "use_bias": draw(st.booleans()),
    }
    kind = draw(st.sampled_from([QuantConv, QuantDense, QuantDepthwiseConv]))
    channels, outputs = draw(st.integers(1, 70)), draw(st.integers(1, 9))
    if kind is QuantDense:
        return QuantDense(outputs, **quantizers), (2, channels), (channels, outputs)
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    kernel_size = draw(st.tuples(*[st.integers(1, 3)] * 2))
    outputs_of = "multiplier" if kind is QuantDepthwiseConv else "features"
    layer = kind(
        **{outputs_of: outputs},
        kernel_size=kernel_size,
        strides=draw(st.tuples(*[st.integers(1, 3)] * 2)),
        padding=padding,
        pad_values=draw(st.sampled_from([-1, 0, 1])),
        **quantizers,
    )
    size = draw(st.tuples(*[st.integers(3, 7)] * 2))
    return layer, (2, *size, channels), (*kernel_size, channels, outputs)


@pytest.fixture(scope="session")
def params_of(reals):
    """A function (layer, kernel shape) → latent parameters, zeros of either sign in the kernel."""

    def draw(layer, shape):
        kernel = reals(shape, seed=1)
        kernel[np.random.default_rng(2).random(shape) < 0.05] = -0.0
        kernel.flat[0] = 0.0
        outputs = jax.eval_shape(layer.init, KEY, jnp.zeros((1, 7, 7, shape[-2])))["params"]
        return {"kernel": kernel} | (
            {"bias": reals(outputs["bias"].shape, seed=3)} if layer.use_bias else {}
        )

    return draw


def quantized(layer, kernel):
    return np.asarray(kernel if layer.kernel_quantizer is None else layer.kernel_quantizer(kernel))


# --- frozen ----------------------------------------------------------------------------------


@pytest.mark.slow
@PROPERTY
@given(choice=layers([*SIGNS, *SCALED, *LEVELS, None]))
def test_both_forms_of_a_layer_are_the_same(
    choice, params_of, reals, bytes_of, apply_with_gradient
):
    latent, x_shape, kernel_shape = choice
    arithmetic = Arithmetic("packed", "float32")
    x, params = reals(x_shape), params_of(latent, kernel_shape)
    g = bytes_of(jax.eval_shape(latent.apply, {"params": params}, x).shape)
    y, of_x, _ = apply_with_gradient(latent, params, x, g, arithmetic)
    frozen = latent.freeze(params)
    y_of_frozen, of_x_of_frozen, _ = apply_with_gradient(latent, frozen, x, g, arithmetic)
    # Scales are multiplied after the sum instead of before it; sums of ±1 are not rounded,
    # and slopes of the activations' signs are multiplied in the same order.
    whole = "signs" == quant.values(latent.input_quantizer) == quant.values(latent.kernel_quantizer)
    for ours, expected in ((y_of_frozen, y), (of_x_of_frozen, of_x)):
        atol = 0 if whole else 1e-5 * float(abs(expected).max())
        np.testing.assert_allclose(ours, expected, rtol=0 if whole else 1e-5, atol=atol)


@pytest.mark.slow
@PROPERTY
@given(choice=layers([*SIGNS, *SCALED, *LEVELS, None]))
def test_a_thawed_kernel_is_quantized_to_the_same_values(choice, params_of):
    latent, _, shape = choice
    params = params_of(latent, shape)
    frozen = latent.freeze(params)
    thawed = latent.thaw(frozen, shape)
    again = latent.freeze(thawed)
    expected = quantized(latent, params["kernel"])
    # A mean of n equal scales is a sum with n roundings, divided by n.
    rtol = 1e-5 if "scale" in frozen else 0
    np.testing.assert_allclose(quantized(latent, thawed["kernel"]), expected, rtol=rtol)
    assert again.keys() == frozen.keys()
    for name, value in frozen.items():
        np.testing.assert_allclose(again[name], value, rtol=rtol if name == "scale" else 0)


def test_bits_and_scales_are_those_of_the_quantized_kernel(reals):
    """In NumPy, bit i of word w is the sign of input channel 32 w + i."""
    kernel = reals((2, 3, 40, 5))
    frozen = QuantConv(5, (2, 3), kernel_quantizer=quant.magnitude_aware_sign).freeze(
        {"kernel": kernel}
    )
    words = np.asarray(frozen["words"])
    assert words.shape == (2, 3, 2, 5)
    bits = words[:, :, np.arange(40) // 32] >> (np.arange(40, dtype=np.uint32) % 32)[:, None] & 1
    np.testing.assert_array_equal(bits, kernel >= 0)
    np.testing.assert_allclose(frozen["scale"], abs(kernel).mean((0, 1, 2)), rtol=1e-6)


LAYERS = {
    "conv": (QuantConv(2, (1, 1)), (1, 1, 3, 2)),
    "dense": (QuantDense(2), (3, 2)),
    "depthwise": (QuantDepthwiseConv((1, 1), multiplier=2), (1, 1, 3, 2)),
}


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (None, {"kernel"}),
        ("ste_tern", {"levels"}),
        ("ste_sign", {"words"}),
        ("xnor_weight_scale", {"words", "scale"}),
    ],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_freeze_and_thaw_give_the_shapes_that_each_form_needs(
    kind, name, stored, use_bias, params_of
):
    layer, shape = LAYERS[kind]
    layer = layer.clone(kernel_quantizer=quantizer(name), use_bias=use_bias)
    packed = layer.freeze(params_of(layer, shape))
    assert packed.keys() - {"bias"} == stored
    latent = jax.eval_shape(layer.init, KEY, jnp.zeros((1, 1, 1, 3)))["params"]
    for params, wanted in (
        (packed, layer.frozen_shapes(latent)),
        (layer.thaw(packed, shape), latent),
    ):
        assert {name: (leaf.shape, leaf.dtype) for name, leaf in params.items()} == {
            name: (leaf.shape, leaf.dtype) for name, leaf in wanted.items()
        }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [None, "ste_sign", "xnor_weight_scale", "ste_tern"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_kernel_that_is_not_finite_is_not_frozen(kind, name, value, reals):
    layer, shape = LAYERS[kind]
    layer = layer.clone(kernel_quantizer=quantizer(name))
    kernel = reals(shape)
    layer.freeze({"kernel": kernel})
    kernel.flat[3] = value
    with pytest.raises(ValueError, match="the kernel holds values that are not finite"):
        layer.freeze({"kernel": kernel})


@pytest.mark.parametrize("values", ["signs", "scaled signs"])
@pytest.mark.parametrize("name", ["ste_heaviside", "dorefa_quantizer"])
def test_a_quantizer_whose_values_contradict_the_table_is_refused(name, values, monkeypatch):
    row = quant.QUANTIZERS[name]._replace(values=values)
    monkeypatch.setitem(quant.QUANTIZERS, name, row)
    layer = QuantDense(2, kernel_quantizer=row.function)
    with pytest.raises(ValueError, match="only ±1, or ± one scale per output channel"):
        layer.freeze({"kernel": np.float32([[1, 0.4], [-1, 0.9]])})


def test_a_custom_quantizer_is_applied_once_and_its_values_stored(reals):
    def halved(x):
        return jnp.round(4 * x) / 8

    latent = QuantDense(3, kernel_quantizer=halved, input_quantizer=quant.ste_sign)
    x, kernel = reals((4, 7)), reals((7, 3), seed=1)
    frozen = latent.freeze({"kernel": kernel})
    np.testing.assert_array_equal(frozen["levels"], np.round(4 * kernel) / 8)
    y = latent.apply({"params": frozen}, x)
    expected = np.where(x >= 0, 1, -1) @ (np.round(4 * kernel) / 8)
    np.testing.assert_array_equal(y, expected)  # sums of eighths are exact
    np.testing.assert_array_equal(latent.apply({"params": {"kernel": kernel}}, x), expected)


# --- weight_clip -----------------------------------------------------------------------------


class Clipped(nn.Module):
    """Layers with and without a clip, at the top level and nested."""

    @nn.compact
    def __call__(self, x):
        sign = {"kernel_quantizer": quant.ste_sign, "use_bias": True}
        x = QuantConv(4, weight_clip=1.0, **sign, name="clipped")(x)
        x = QuantConv(4, **sign, name="free")(x)
        x = BatchNorm(epsilon=1e-3, momentum=0.9, name="norm")(x)
        x = QuantSeparableConv(5, depthwise_clip=0.25, pointwise_clip=0.5, name="separable")(x)
        x = DepthwiseConv(weight_clip=2.0, name="depthwise")(x)
        return QuantDense(2, weight_clip=1.25, **sign, name="dense")(x.mean((1, 2)))


CLIPS = {
    ("clipped", "kernel"): 1.0,
    ("separable", "depthwise", "kernel"): 0.25,
    ("separable", "pointwise", "kernel"): 0.5,
    ("depthwise", "kernel"): 2.0,
    ("dense", "kernel"): 1.25,
}


@pytest.mark.slow
def test_kernels_are_clipped_in_layers_with_a_clip(reals):
    shapes = jax.eval_shape(Clipped().init, KEY, jnp.zeros((1, 5, 5, 3)))["params"]
    params = jax.tree.map(lambda leaf: 3 * reals(leaf.shape), shapes)
    clips = jax.jit(Clipped().init)(KEY, jnp.zeros((1, 5, 5, 3)))["weight_clip"]
    clipped = jax.jit(clip_weights)(params, clips)
    assert jax.tree.structure(clipped) == jax.tree.structure(params)
    changed = set()
    for path, before in jax.tree.leaves_with_path(params):
        path = tuple(key.key for key in path)
        after = clipped
        for name in path:
            after = after[name]
        clip = CLIPS.get(path, np.inf)
        np.testing.assert_array_equal(after, np.clip(before, -clip, clip), err_msg=path)
        if (after != before).any():
            changed.add(path)
    assert changed == CLIPS.keys()


def test_layers_without_a_clip_make_no_collection(reals):
    layer = QuantConv(2, kernel_quantizer=quant.ste_sign)
    assert jax.eval_shape(layer.init, KEY, reals((1, 3, 3, 2))).keys() == {"params"}
    params = {"conv": {"kernel": reals((3, 3, 2, 2))}}
    np.testing.assert_array_equal(
        clip_weights(params, {})["conv"]["kernel"], params["conv"]["kernel"]
    )


def test_apply_without_mutable_collections_needs_no_clips(reals):
    layer = QuantConv(2, (1, 1), weight_clip=1.0, kernel_quantizer=quant.ste_sign)
    x, kernel = reals((1, 2, 2, 3)), reals((1, 1, 3, 2), seed=1)
    y = partial(layer.apply, {"params": {"kernel": kernel}})(x)
    np.testing.assert_allclose(y, x @ np.where(kernel >= 0, 1, -1)[0, 0], rtol=1e-5)
