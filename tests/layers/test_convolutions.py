"""bnnjax.layers.convolutions against Larq, both forms against each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax import quant
from bnnjax.binary import backend, conv
from bnnjax.binary.backend import Arithmetic, using
from bnnjax.layers import QuantConv, QuantDense

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(
    deadline=None, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
KEY = jax.random.key(0)
SIGNS = {"input_quantizer": quant.ste_sign, "kernel_quantizer": quant.ste_sign}
BOTH_SIGNS = partial(QuantConv, **SIGNS)
PACKED = Arithmetic("packed")


def layer_of(case):
    """Our layer for a stored case of Larq's QuantConv2D or QuantDense."""
    quantizers = {
        "input_quantizer": case.quantizer("input"),
        "kernel_quantizer": case.quantizer("kernel"),
        "use_bias": bool(case["bias"]),
    }
    if case.name.startswith("dense"):
        return QuantDense(4, **quantizers)
    return QuantConv(3, kernel_size=(case["kh"], case["kw"]), **case.window(), **quantizers)


def params_of(case):
    names = ("kernel", "bias") if case["bias"] else ("kernel",)
    return {name: getattr(case, name) for name in names}


def assert_latent_agrees_with_larq(case, apply_with_gradient):
    params = params_of(case)
    y, of_x, of_params = apply_with_gradient(layer_of(case), params, case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)
    assert of_params.keys() == params.keys()
    for name, gradient in of_params.items():
        case.assert_close(gradient, getattr(case, f"of_{name}"))


def assert_frozen_agrees_with_larq(case, backend, apply_with_gradient):
    latent = layer_of(case)
    # Cotangents are 8-bit integers, so only products with scales need float32.
    dtype = "bfloat16" if case.exact else "float32"
    params = latent.freeze(params_of(case))
    arithmetic = Arithmetic(backend, dtype)
    y, of_x, _ = apply_with_gradient(latent, params, case.x, case.cotangent, arithmetic)
    case.assert_close(y, case.y)
    if case.exact and backend == "dense":
        # It convolves bfloat16, which rounds the gradient's sums as well.
        np.testing.assert_allclose(of_x, case.of_x, rtol=2.0**-8)
    else:
        case.assert_close(of_x, case.of_x)


# --- QuantConv -------------------------------------------------------------------------------


def test_latent_quant_conv_agrees_with_larq(conv_case, apply_with_gradient):
    assert_latent_agrees_with_larq(conv_case, apply_with_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["packed", "dense"])
def test_frozen_quant_conv_agrees_with_larq(conv_case, backend, apply_with_gradient):
    assert_frozen_agrees_with_larq(conv_case, backend, apply_with_gradient)


@pytest.mark.slow
@pytest.mark.parametrize(
    "latent",
    [
        BOTH_SIGNS(4),
        BOTH_SIGNS(3, kernel_size=(2, 3), strides=(1, 2), pad_values=1),
        BOTH_SIGNS(4, kernel_size=(3, 1), strides=(2, 2), pad_values=-1),
        BOTH_SIGNS(2, kernel_size=(4, 3), padding="VALID"),
    ],
    ids=["zeros", "ones", "minus ones", "valid"],
)
def test_frozen_quant_conv_of_many_words_is_the_latent_one(
    latent, reals, bytes_of, apply_with_gradient
):
    x, kernel = reals((2, 7, 6, 70)), reals((*latent.kernel_size, 70, latent.features), seed=1)
    params, arithmetic = {"kernel": kernel}, Arithmetic("packed", "float32")
    g = bytes_of(jax.eval_shape(latent.apply, {"params": params}, x).shape)
    pairs = zip(
        apply_with_gradient(latent, latent.freeze(params), x, g, arithmetic)[:2],
        apply_with_gradient(latent, params, x, g)[:2],
        strict=True,
    )
    for of_frozen, of_latent in pairs:
        np.testing.assert_array_equal(of_frozen, of_latent)


@pytest.mark.slow
def test_a_kernel_laid_out_once_gives_the_same(reals):
    layer = BOTH_SIGNS(4, (2, 1), pad_values=1)
    x, g = reals((1, 5, 4, 40)), reals((1, 5, 4, 4), seed=1)
    variables = {"params": {"words": conv.pack_kernel(reals((2, 1, 40, 4)))}}
    with using(PACKED):
        laid_out = layer.apply(variables, x, mutable=["backward"])[1]
    assert laid_out["backward"]["kernel"].dtype == backend.gradient_dtype()

    @jax.jit
    def both(collection):
        with using(PACKED):
            y, pull_back = jax.vjp(lambda x: layer.apply({**variables, **collection}, x), x)
        return y, pull_back(g)[0]

    y, gradient = both({})
    np.testing.assert_array_equal(both(laid_out)[0], y)
    np.testing.assert_array_equal(both(laid_out)[1], gradient)
    # The gradient is computed with this kernel alone, so zeros give a gradient of 0.
    assert not both(jax.tree.map(jnp.zeros_like, laid_out))[1].any()
    assert gradient.any()


def test_init_makes_the_latent_form_and_frozen_shapes_are_known(reals):
    layer = BOTH_SIGNS(4)
    variables = jax.eval_shape(layer.init, KEY, reals((1, 3, 3, 2)))
    assert variables.keys() == {"params"}
    (name, words), *rest = layer.frozen_shapes(variables["params"]).items()
    assert not rest
    assert (name, words.shape, words.dtype) == ("words", (3, 3, 1, 4), jnp.uint32)


def test_packed_words_of_another_input_are_refused(reals):
    layer = BOTH_SIGNS(4)
    frozen = layer.freeze({"kernel": reals((3, 3, 70, 4))})
    with pytest.raises(Exception, match="words"):
        layer.apply({"params": frozen}, reals((1, 5, 5, 20)))


def applied_by(arithmetic, layer, variables, x):
    with using(arithmetic):
        return layer.apply(variables, x)


@pytest.mark.slow
def test_gradient_dtype_is_that_of_the_backward_product(reals, with_gradient):
    x, g = reals((1, 5, 4, 3)), reals((1, 5, 4, 8), seed=1)
    variables = {"params": {"words": conv.pack_kernel(reals((2, 1, 3, 8)))}}
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float32)
    for dtype, blind in (("float32", False), ("bfloat16", True)):
        apply = partial(applied_by, Arithmetic("packed", dtype), BOTH_SIGNS(8, (2, 1)), variables)
        exact, of_rounded = (with_gradient(apply, x, cotangent)[1] for cotangent in (g, rounded))
        assert (exact == of_rounded).all() == blind


@pytest.mark.slow
def test_without_quantizers_it_is_an_ordinary_convolution(reals):
    layer = QuantConv(4, kernel_size=(2, 3), strides=(2, 1), use_bias=True)
    x, kernel, bias = reals((2, 5, 6, 3)), reals((2, 3, 3, 4), seed=1), reals(4, seed=2)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    params = {"kernel": kernel, "bias": bias}
    for form in (params, layer.freeze(params)):
        y = layer.apply({"params": form}, x)
        np.testing.assert_allclose(y, expected + bias, rtol=1e-5, atol=1e-5)


# --- QuantDense ------------------------------------------------------------------------------


def test_latent_quant_dense_agrees_with_larq(dense_case, apply_with_gradient):
    assert_latent_agrees_with_larq(dense_case, apply_with_gradient)


@pytest.mark.parametrize("backend", ["packed", "dense"])
def test_frozen_quant_dense_agrees_with_larq(dense_case, backend, apply_with_gradient):
    assert_frozen_agrees_with_larq(dense_case, backend, apply_with_gradient)


@pytest.mark.slow
@PROPERTY
@given(
    leading=st.lists(st.integers(1, 4), max_size=3),
    inputs=st.integers(1, 70),
    features=st.integers(1, 5),
    backend=st.sampled_from(["packed", "dense"]),
)
def test_quant_dense_is_a_product_of_signs_in_both_forms(
    leading, inputs, features, backend, reals, bytes_of, apply_with_gradient
):
    layer, arithmetic = QuantDense(features, use_bias=True, **SIGNS), Arithmetic(backend)
    x, kernel = reals((*leading, inputs)), reals((inputs, features), seed=1)
    params = {"kernel": kernel, "bias": bytes_of(features, seed=3)}
    signs = np.where(kernel >= 0, 1, -1)
    g = bytes_of((*leading, features), seed=2)
    for weights in (params, layer.freeze(params)):
        y, of_x, _ = apply_with_gradient(layer, weights, x, g, arithmetic)
        np.testing.assert_array_equal(y, np.where(x >= 0, 1, -1) @ signs + params["bias"])
        np.testing.assert_array_equal(of_x, (g @ signs.T) * (abs(x) <= 1))


# --- groups and dilation ---------------------------------------------------------------------


def in_form(layer, params, form):
    """Parameters and arithmetic of a layer that is "latent", or frozen with this backend."""
    if form == "latent":
        return params, Arithmetic()
    return layer.freeze(params), Arithmetic(form)


@pytest.mark.parametrize("pad_values", [0, 1])
@pytest.mark.parametrize("form", ["latent", "packed", "dense"])
def test_groups_are_convolutions_side_by_side(form, pad_values, apply_with_gradient, bytes_of):
    window = {"kernel_size": (3, 2), "strides": (2, 1), "pad_values": pad_values}
    grouped = BOTH_SIGNS(6, groups=3, **window)
    x, kernel, g = bytes_of((2, 5, 4, 12)), bytes_of((3, 2, 4, 6), 1), bytes_of((2, 3, 4, 6), 2)
    params, arithmetic = in_form(grouped, {"kernel": kernel}, form)
    y, of_x, _ = apply_with_gradient(grouped, params, x, g, arithmetic)
    for group in range(3):
        ins, outs = slice(4 * group, 4 * group + 4), slice(2 * group, 2 * group + 2)
        alone = {"kernel": kernel[..., outs]}
        expected = apply_with_gradient(BOTH_SIGNS(2, **window), alone, x[..., ins], g[..., outs])
        np.testing.assert_array_equal(y[..., outs], expected[0])
        np.testing.assert_allclose(of_x[..., ins], expected[1], rtol=2.0**-8)


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(
        ValueError, match="12 channels and 5 features cannot be split into 3 groups"
    ):
        BOTH_SIGNS(5, groups=3).init(KEY, jnp.zeros((1, 4, 4, 12)))


@pytest.mark.parametrize("form", ["latent", "packed", "dense"])
def test_a_dilated_kernel_is_one_with_holes(form, apply_with_gradient, bytes_of):
    """With floats on one side, where a hole can be 0, the same layer without dilation agrees."""
    x, kernel, g = bytes_of((1, 9, 8, 5)), bytes_of((3, 2, 5, 4), 1), bytes_of((1, 9, 8, 4), 2)
    holes = np.zeros((5, 4, 5, 4), np.float32)
    holes[::2, ::3] = np.where(kernel >= 0, 1, -1)
    y, of_x, _ = apply_with_gradient(
        QuantConv(4, (5, 4), input_quantizer=quant.ste_sign), {"kernel": holes}, x, g
    )
    dilated = BOTH_SIGNS(4, (3, 2), dilation=(2, 3))
    params, arithmetic = in_form(dilated, {"kernel": kernel}, form)
    found = apply_with_gradient(dilated, params, x, g, arithmetic)
    np.testing.assert_array_equal(found[0], y)
    np.testing.assert_allclose(found[1], of_x, rtol=2.0**-8)
