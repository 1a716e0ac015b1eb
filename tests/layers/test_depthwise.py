"""bnnjax.layers.depthwise against Larq, Keras and XLA, both forms against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax import quant
from bnnjax.layers import BlurPool, DepthwiseConv, QuantDepthwiseConv, QuantSeparableConv
from bnnjax.models.forms import freeze_layer
from bnnjax.models.trace import frozen_shapes, trace

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(
    deadline=None, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
KEY = jax.random.key(0)


# --- QuantDepthwiseConv ----------------------------------------------------------------------


def depthwise_of(case):
    return QuantDepthwiseConv(
        multiplier=case["multiplier"],
        kernel_size=(case["kh"], case["kw"]),
        input_quantizer=case.quantizer("input"),
        kernel_quantizer=case.quantizer("kernel"),
        use_bias=bool(case["bias"]),
        **case.window(),
    )


def depthwise_params_of(case, prefix=""):
    params = {"kernel": getattr(case, f"{prefix}depthwise_kernel")}
    return params | ({"bias": getattr(case, f"{prefix}bias")} if case["bias"] else {})


def test_latent_depthwise_conv_agrees_with_larq(depthwise_case, apply_with_gradient):
    case = depthwise_case
    params, expected = depthwise_params_of(case), depthwise_params_of(case, "of_")
    y, of_x, of_params = apply_with_gradient(depthwise_of(case), params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)
    jax.tree.map(case.assert_close, of_params, expected)


def test_frozen_depthwise_conv_agrees_with_larq(depthwise_case, apply_with_gradient):
    case = depthwise_case
    latent = depthwise_of(case)
    params = latent.freeze(depthwise_params_of(case))
    y, of_x, _ = apply_with_gradient(latent, params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel_size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.integers(1, 4),
    multiplier=st.integers(1, 4),
)
def test_depthwise_conv_is_a_grouped_convolution(
    size, kernel_size, strides, channels, multiplier, reals
):
    layer = DepthwiseConv(multiplier=multiplier, kernel_size=kernel_size, strides=strides)
    x, kernel = reals((2, *size, channels)), reals((*kernel_size, channels, multiplier))

    @jax.jit
    def both(x, kernel):
        grouped = lax.conv_general_dilated(
            x,
            kernel.reshape(*kernel_size, 1, -1),
            strides,
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )
        return layer.apply({"params": {"kernel": kernel}}, x), grouped

    np.testing.assert_allclose(*both(x, kernel), rtol=1e-5, atol=1e-5)


def test_depthwise_kernel_has_the_shape_of_keras(reals):
    layer = DepthwiseConv(multiplier=8, strides=(2, 2))
    variables = jax.eval_shape(layer.init, KEY, reals((1, 7, 8, 3)))
    assert jax.tree.map(lambda leaf: leaf.shape, variables) == {"params": {"kernel": (3, 3, 3, 8)}}


# --- BlurPool --------------------------------------------------------------------------------


@pytest.mark.slow
def test_blur_pool_is_that_of_larq_zoo_and_is_not_trained(blur_pool_case, apply_with_gradient):
    case = blur_pool_case
    layer = BlurPool()
    params = layer.init(KEY, case.x)["params"]
    np.testing.assert_array_equal(params["kernel"], case.depthwise_kernel)
    y, of_x, of_params = apply_with_gradient(layer, params, case.x, case.cotangent)
    np.testing.assert_allclose(y, case.y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_x, case.of_x, rtol=1e-5, atol=1e-5)
    assert not of_params["kernel"].any()


# --- QuantSeparableConv ----------------------------------------------------------------------


def separable_of(case):
    return QuantSeparableConv(
        4,
        multiplier=case["multiplier"],
        input_quantizer=case.quantizer("input"),
        depthwise_quantizer=case.quantizer("depthwise"),
        pointwise_quantizer=case.quantizer("pointwise"),
        use_bias=bool(case["bias"]),
        **case.window(),
    )


def separable_params_of(case, prefix=""):
    names = {"kernel": "pointwise_kernel"} | ({"bias": "bias"} if case["bias"] else {})
    return {
        "depthwise": {"kernel": getattr(case, f"{prefix}depthwise_kernel")},
        "pointwise": {ours: getattr(case, prefix + larqs) for ours, larqs in names.items()},
    }


def freeze_both(layer, params):
    """The shape belongs to a separable convolution of three channels, as `trace` calls it."""
    return {
        call.path[-1]: freeze_layer(call.layer, params[call.path[-1]], {})
        for call in trace(layer, side=8)
    }


@pytest.mark.slow
def test_latent_separable_conv_agrees_with_larq(separable_case, apply_with_gradient):
    case = separable_case
    params, expected = separable_params_of(case), separable_params_of(case, "of_")
    y, of_x, of_params = apply_with_gradient(separable_of(case), params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)
    jax.tree.map(case.assert_close, of_params, expected)


def test_frozen_separable_conv_agrees_with_larq(separable_case, with_gradient):
    case = separable_case
    latent = separable_of(case)
    variables = {"params": freeze_both(latent, separable_params_of(case))}
    y, of_x = with_gradient(lambda x: latent.apply(variables, x), case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)


@pytest.mark.slow
@PROPERTY
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel_size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["SAME", "VALID"]),
    multiplier=st.integers(1, 12),
    features=st.integers(1, 5),
    depthwise=st.sampled_from([None, "ste_sign", "xnor_weight_scale"]),
    pointwise=st.sampled_from(["ste_sign", "magnitude_aware_sign"]),
)
def test_both_forms_of_separable_convs_are_the_same(
    size, kernel_size, strides, padding, multiplier, features, depthwise, pointwise, reals
):
    latent = QuantSeparableConv(
        features,
        multiplier=multiplier,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        input_quantizer=quant.ste_sign,
        depthwise_quantizer=depthwise and quant.get(depthwise),
        pointwise_quantizer=quant.get(pointwise),
        use_bias=True,
    )
    x = reals((2, *size, 3))
    params = {
        "depthwise": {"kernel": reals((*kernel_size, 3, multiplier), seed=1)},
        "pointwise": {
            "kernel": reals((1, 1, 3 * multiplier, features), seed=2),
            "bias": reals(features, seed=3),
        },
    }
    packed = freeze_both(latent, params)
    wanted = frozen_shapes(latent, side=8)["params"]
    assert jax.tree.map(jnp.shape, packed) == jax.tree.map(lambda leaf: leaf.shape, wanted)
    y = jax.jit(latent.apply)({"params": params}, x)
    # Scales are multiplied before the sum in one form and after it in the other.
    np.testing.assert_allclose(
        jax.jit(latent.apply)({"params": packed}, x), y, rtol=1e-5, atol=1e-5 * abs(y).max()
    )
