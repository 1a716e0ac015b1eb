"""bnnjax.layers.spatial against Larq, both forms against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax import layers, quant
from bnnjax.layers import (
    QuantConv,
    QuantConv1D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantSeparableConv1D,
)
from bnnjax.models.forms import freeze_layer

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(
    deadline=None, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
KEY = jax.random.key(0)
LAYERS = {
    "conv1d": (QuantConv1D, 1),
    "conv3d": (QuantConv3D, 3),
    "transpose2d": (QuantConv2DTranspose, 2),
    "transpose3d": (QuantConv3DTranspose, 3),
}
SIGNS = {"input_quantizer": quant.ste_sign, "kernel_quantizer": quant.ste_sign}


def layer_of(case):
    kind, rank = LAYERS[case.name.split()[0]]
    every_axis = {"kernel_size": "k", "strides": "stride", "dilation": "dilation"}
    options = {field: (case[setting],) * rank for field, setting in every_axis.items()}
    if "pad_value" in case.settings:
        options["pad_values"] = case["pad_value"]
    elif case["more"] >= 0:
        options["output_padding"] = (case["more"],) * rank
    return kind(
        3,
        padding=case.settings["padding"].upper(),
        input_quantizer=case.quantizer("input"),
        kernel_quantizer=case.quantizer("kernel"),
        use_bias=bool(case["bias"]),
        **options,
    )


def params_of(case):
    names = ("kernel", "bias") if case["bias"] else ("kernel",)
    return {name: getattr(case, name) for name in names}


def assert_both_forms_agree_with_larq(case, apply_with_gradient):
    latent, params = layer_of(case), params_of(case)
    y, of_x, of_params = apply_with_gradient(latent, params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)
    for name, gradient in of_params.items():
        case.assert_close(gradient, getattr(case, f"of_{name}"))
    frozen = latent.freeze(params)
    packs = case.settings["kernel"] in ("sign", "wide_sign", "magnitude", "xnor")
    assert ("words" in frozen) == packs
    y, of_x, _ = apply_with_gradient(latent, frozen, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)


def test_quant_conv_1d_agrees_with_larq(conv1d_case, apply_with_gradient):
    assert_both_forms_agree_with_larq(conv1d_case, apply_with_gradient)


def test_quant_conv_3d_agrees_with_larq(conv3d_case, apply_with_gradient):
    assert_both_forms_agree_with_larq(conv3d_case, apply_with_gradient)


def test_quant_conv_2d_transpose_agrees_with_larq(transpose2d_case, apply_with_gradient):
    assert_both_forms_agree_with_larq(transpose2d_case, apply_with_gradient)


def test_quant_conv_3d_transpose_agrees_with_larq(transpose3d_case, apply_with_gradient):
    assert_both_forms_agree_with_larq(transpose3d_case, apply_with_gradient)


# --- QuantSeparableConv1D --------------------------------------------------------------------


@pytest.mark.slow
def test_both_forms_of_quant_separable_conv_1d_agree_with_larq(
    separable1d_case, apply_with_gradient
):
    case = separable1d_case
    latent = QuantSeparableConv1D(
        4,
        multiplier=case["multiplier"],
        kernel_size=(case["k"],),
        strides=(case["stride"],),
        padding=case.settings["padding"].upper(),
        pad_values=case["pad_value"],
        input_quantizer=case.quantizer("input"),
        depthwise_quantizer=case.quantizer("depthwise"),
        pointwise_quantizer=case.quantizer("pointwise"),
        use_bias=bool(case["bias"]),
    )
    bias = {"bias": case.bias} if case["bias"] else {}
    params = {
        "depthwise": {"kernel": case.depthwise_kernel[None]},
        "pointwise": {"kernel": case.pointwise_kernel[None], **bias},
    }
    y, of_x, of_params = apply_with_gradient(latent, params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)
    for part in ("depthwise", "pointwise"):
        gradient = of_params[part]["kernel"][0]
        case.assert_close(gradient, getattr(case, f"of_{part}_kernel"))
    frozen = {
        path[-1]: freeze_layer(layer, params[path[-1]], {}) for path, layer in inner(latent, case.x)
    }
    assert {"words"} <= frozen["pointwise"].keys()
    y = latent.apply({"params": frozen}, case.x)
    case.assert_close(y, case.y)


def inner(module, x):
    """Both convolutions of a separable one, by their paths."""
    found = {}

    def record(call, args, kwargs, context):
        found[context.module.path] = context.module
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(module.init, KEY, x)
    return [(path, layer) for path, layer in found.items() if path]


# --- facts -----------------------------------------------------------------------------------


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID"]),
)
def test_a_transposed_convolution_is_the_gradient_of_a_convolution(
    size, kernel_size, strides, padding, reals
):
    kernel, g = reals((*kernel_size, 3, 5)), reals((2, *size, 5), seed=1)
    transposed = QuantConv2DTranspose(3, kernel_size, strides, padding=padding)
    forward = QuantConv(5, kernel_size, strides=strides, padding=padding)
    params = {"params": {"kernel": kernel}}
    found = transposed.apply(params, g)
    y, pull_back = jax.vjp(lambda x: forward.apply(params, x), jnp.zeros(found.shape))
    assert y.shape == g.shape
    np.testing.assert_allclose(found, pull_back(g)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shape"), [(QuantConv1D, (2, 7, 6)), (QuantConv3D, (2, 3, 3, 3, 6))]
)
def test_each_group_of_channels_computes_its_own_features(kind, shape, reals):
    x, layer = reals(shape), kind(4, 2, groups=2, pad_values=1, **SIGNS)
    kernel = reals((*layer.kernel_size, 3, 4), seed=1)
    part = layer.clone(features=2, groups=1)
    expected = [
        part.apply(
            {"params": {"kernel": kernel[..., 2 * g : 2 * g + 2]}}, x[..., 3 * g : 3 * g + 3]
        )
        for g in range(2)
    ]
    params = {"kernel": kernel}
    for form in (params, layer.freeze(params)):
        y = layer.apply({"params": form}, x)
        np.testing.assert_array_equal(y, np.concatenate(expected, -1))


@pytest.mark.slow
def test_a_causal_separable_convolution_sees_nothing_later(reals):
    """Its zeros are padded after the signs are taken, unlike zeros in the input."""
    parts = {"depthwise_quantizer": "ste_sign", "pointwise_quantizer": "ste_sign"}
    layer = QuantSeparableConv1D(
        4, 3, dilation=2, padding="causal", input_quantizer="ste_sign", **parts
    )
    x = reals((1, 9, 3))
    variables = layer.init(KEY, x)
    y = layer.apply(variables, x)
    changed = layer.apply(variables, jnp.concatenate([x[:, :5], -x[:, 5:]], 1))
    np.testing.assert_array_equal(y[:, :5], changed[:, :5])
    assert (y[:, 5:] != changed[:, 5:]).any()
    first = np.where(x[:, :1] >= 0, 1, -1) * np.where(
        variables["params"]["depthwise"]["kernel"][:, 2, :, 0] >= 0, 1, -1
    )
    signs = np.where(variables["params"]["pointwise"]["kernel"][0, 0] >= 0, 1, -1)
    np.testing.assert_array_equal(y[:, :1], first @ signs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "channels", "words"),
    [
        (QuantConv1D(4, (3,), **SIGNS), 70, (3, 3, 4)),
        (QuantConv3D(4, (1, 2, 3), **SIGNS), 33, (1, 2, 3, 2, 4)),
        (QuantConv2DTranspose(40, (2, 3), **SIGNS), 5, (2, 3, 2, 5)),
        (QuantConv3DTranspose(7, (2, 1, 2), **SIGNS), 5, (2, 1, 2, 1, 5)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Quantized) else None,
)
def test_frozen_kernels_take_one_bit_per_weight(layer, channels, words, reals):
    x = reals((1, *(4,) * len(layer.kernel_size), channels))
    params = layer.init(KEY, x)["params"]
    frozen = layer.freeze(params)
    assert frozen.keys() == {"words"}
    assert (frozen["words"].shape, frozen["words"].dtype) == (words, jnp.uint32)
    shapes = layer.frozen_shapes(jax.eval_shape(layer.init, KEY, x)["params"])
    assert shapes["words"].shape == words
    thawed = layer.thaw(frozen, params["kernel"].shape)["kernel"]
    np.testing.assert_array_equal(thawed, np.where(params["kernel"] >= 0, 1, -1))


@pytest.mark.slow
def test_weight_clips_are_recorded_for_training(reals):
    layer = QuantConv1D(4, weight_clip=1.25, **SIGNS)
    variables = layer.init(KEY, reals((1, 5, 3)))
    assert variables["weight_clip"]["kernel"] == 1.25


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (QuantConv1D(2), (1, 5, 5, 3), r"shape \(1, 5, 5, 3\), needs \[N, 1 spatial axes, C\]"),
        (QuantSeparableConv1D(2), (1, 5, 5, 3), "1 spatial axes"),
        (QuantConv3D(2), (1, 5, 5, 3), "3 spatial axes"),
        (QuantConv2DTranspose(2), (1, 5, 3), "2 spatial axes"),
        (QuantConv1D(2, padding="CAUSAL", pad_values=1), (1, 5, 3), "pad_values is 1, needs 0"),
        (QuantConv1D(2, groups=2), (1, 5, 3), "3 channels and 2 features cannot be split into 2"),
        (QuantConv1D(2, (6,), padding="VALID"), (1, 5, 3), r"smaller than the kernel \(6,\)"),
        (
            QuantConv2DTranspose(2, strides=(2, 2), output_padding=(1, 2)),
            (1, 5, 5, 3),
            r"output_padding is \(1, 2\), needs less than strides \(2, 2\)",
        ),
    ],
)
def test_inputs_and_fields_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(layer.init, KEY, jnp.zeros(shape))
