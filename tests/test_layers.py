"""bnnjax.layers against Larq and Keras, both forms against each other, and XLA's own operations."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax import quant
from bnnjax.binary import conv
from bnnjax.layers import (
    BatchNorm,
    DepthwiseConv,
    Options,
    QuantConv,
    avg_pool,
    fold,
    max_pool,
    pool,
)

KERAS = np.load(Path(__file__).parent / "reference" / "layers.npz")
PROPERTY = settings(deadline=None, max_examples=8)
KEY = jax.random.key(0)


class Stored:
    """One case of tests/reference/layers.py: its settings, and its tensors by name."""

    def __init__(self, name):
        self.name = name
        self.settings = dict(part.split("=") for part in name.split()[1:])

    def __getattr__(self, tensor):
        return KERAS[f"{self.name} {tensor}"]

    def __getitem__(self, setting):
        return int(self.settings[setting])


def stored(layer):
    cases = [name for name in KERAS["cases"].tolist() if name.startswith(layer)]
    assert cases
    return pytest.mark.parametrize("case", [Stored(name) for name in cases], ids=lambda c: c.name)


def reals(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bytes_of(shape, seed=0):
    """Whole numbers of at most 8 bits, which bfloat16 holds."""
    return np.random.default_rng(seed).integers(-255, 256, shape).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def with_gradient(function, x, g, *arguments):
    """``function(x, *arguments)``, and for cotangent ``g`` the gradients of all but words."""
    y, pull_back = jax.vjp(function, x, *arguments)
    return y, *pull_back(g)


# --- QuantConv -------------------------------------------------------------------------------


def quant_conv_of(case):
    return QuantConv(
        3,
        kernel_size=(case["kh"], case["kw"]),
        strides=(case["stride"],) * 2,
        padding=case.settings["padding"].upper(),
        pad_values=case["pad_value"],
        kernel_quantizer=partial(quant.ste_sign, clip=1.25),
    )


def packed(kernel):
    return {"params": {"words": conv.pack_kernel(jnp.asarray(kernel))}}


@stored("quant_conv")
def test_latent_quant_conv_is_larqs(case):
    layer = quant_conv_of(case)
    y, of_x, of_kernel = with_gradient(
        lambda x, kernel: layer.apply({"params": {"kernel": kernel}}, x),
        case.x,
        case.cotangent,
        case.kernel,
    )
    np.testing.assert_array_equal(y, case.y)
    np.testing.assert_array_equal(of_x, case.of_x)
    np.testing.assert_array_equal(of_kernel, case.of_kernel)


@pytest.mark.parametrize("backend", ["packed", "dense"])
@stored("quant_conv")
def test_frozen_quant_conv_is_larqs(case, backend):
    layer = quant_conv_of(case).clone(frozen=True, backend=backend)
    kernel = case.kernel
    y, of_x = with_gradient(lambda x: layer.apply(packed(kernel), x), case.x, case.cotangent)
    np.testing.assert_array_equal(y, case.y)
    # Cotangents are whole numbers of 8 bits, but the dense form rounds their sums too.
    np.testing.assert_allclose(of_x, case.of_x, rtol=2.0**-8 if backend == "dense" else 0)


@pytest.mark.parametrize(
    "latent",
    [
        QuantConv(4),
        QuantConv(3, kernel_size=(2, 3), strides=(1, 2), pad_values=1),
        QuantConv(4, kernel_size=(3, 1), strides=(2, 2), pad_values=-1),
        QuantConv(2, kernel_size=(4, 3), padding="VALID"),
    ],
    ids=["zeros", "ones", "minus ones", "valid"],
)
def test_frozen_quant_conv_of_many_words_is_the_latent_one(latent):
    frozen = latent.clone(frozen=True, backend="packed", gradient_dtype="float32")
    x, kernel = reals((2, 7, 6, 70)), reals((*latent.kernel_size, 70, latent.features), seed=1)
    variables = {"params": {"kernel": kernel}}
    g = bytes_of(jax.eval_shape(latent.apply, variables, x).shape)
    pairs = zip(
        with_gradient(lambda x: frozen.apply(packed(kernel), x), x, g),
        with_gradient(lambda x: latent.apply(variables, x), x, g),
        strict=True,
    )
    for of_frozen, of_latent in pairs:
        np.testing.assert_array_equal(of_frozen, of_latent)


def test_a_kernel_laid_out_once_gives_the_same():
    layer = QuantConv(4, (2, 1), pad_values=1, frozen=True, backend="packed")
    x, g = reals((1, 5, 4, 40)), reals((1, 5, 4, 4), seed=1)
    variables = packed(reals((2, 1, 40, 4)))
    lay_out = jax.jit(partial(layer.apply, mutable=["backward"]))
    laid_out = lay_out(variables, x)[1]
    assert laid_out["backward"]["kernel"].dtype == jnp.bfloat16

    @jax.jit
    def both(collection):
        y, pull_back = jax.vjp(lambda x: layer.apply({**variables, **collection}, x), x)
        return y, pull_back(g)[0]

    y, gradient = both({})
    np.testing.assert_array_equal(both(laid_out)[0], y)
    np.testing.assert_array_equal(both(laid_out)[1], gradient)
    # The gradient is computed with it and nothing else: of a kernel of zeros there is none.
    assert not both(jax.tree.map(jnp.zeros_like, laid_out))[1].any()
    assert gradient.any()


def test_an_ordinary_apply_lays_nothing_out():
    layer = QuantConv(4, frozen=True, backend="packed")
    variables = jax.eval_shape(partial(layer.init, mutable=["params"]), KEY, reals((1, 3, 3, 2)))
    assert variables.keys() == {"params"}
    assert variables["params"].keys() == {"words"}
    assert variables["params"]["words"].shape == (3, 3, 1, 4)
    assert variables["params"]["words"].dtype == jnp.uint32


def test_gradient_dtype_is_that_of_the_backward_product():
    x, g = reals((1, 5, 4, 3)), reals((1, 5, 4, 8), seed=1)
    variables = packed(reals((2, 1, 3, 8)))
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float32)
    for dtype, blind in (("float32", False), ("bfloat16", True)):
        layer = QuantConv(8, (2, 1), frozen=True, backend="packed", gradient_dtype=dtype)
        apply = partial(layer.apply, variables)
        exact, of_rounded = (with_gradient(apply, x, cotangent)[1] for cotangent in (g, rounded))
        assert (exact == of_rounded).all() == blind


def test_pseudo_gradients_change_the_gradient_and_nothing_else():
    x, g = reals((1, 5, 4, 3)), bytes_of((1, 5, 4, 2))
    kernel = reals((2, 1, 3, 2))
    variables = {"params": {"kernel": kernel}}
    choices = {
        "ste": (Options(clip=1.0), abs(x) <= 1),
        "wider ste": (Options(clip=1.25), abs(x) <= 1.25),
        "whole ste": (Options(clip=None), np.ones_like(x)),
        "approx": (Options(pseudo_gradient="approx_sign"), 2 * np.maximum(1 - abs(x), 0)),
        "swish": (
            Options(pseudo_gradient="swish_sign"),
            5 * (2 - 5 * x * np.tanh(2.5 * x)) / (1 + np.cosh(5 * x)),
        ),
    }
    results = {}
    for name, (options, slope) in choices.items():
        layer = QuantConv(2, (2, 1), input_quantizer=options.input_quantizer)
        apply = partial(layer.apply, variables)
        results[name] = (*with_gradient(apply, x, g), slope)
    y, through, _ = results["whole ste"]
    for forward, gradient, slope in results.values():
        np.testing.assert_array_equal(forward, y)
        np.testing.assert_allclose(gradient, through * slope, rtol=1e-4, atol=1e-3)


# --- BatchNorm -------------------------------------------------------------------------------


@stored("batch_norm")
def test_batch_norm_is_keras(case):
    layer = BatchNorm(epsilon=1e-3, momentum=0.9)
    statistics = {"mean": case.mean, "var": case.var}

    @jax.jit
    def both(x, scale, bias, g):
        def apply(x, scale, bias):
            variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": statistics}
            return layer.apply(variables, x, train=training, mutable=["batch_stats"])

        y, pull_back, after = jax.vjp(apply, x, scale, bias, has_aux=True)
        return y, pull_back(g), after["batch_stats"]

    training = bool(case["training"])
    y, gradients, after = both(case.x, case.gamma, case.beta, case.cotangent)
    np.testing.assert_allclose(y, case.y, rtol=1e-5, atol=1e-5)
    expected = case.of_x, case.of_gamma, case.of_beta
    for gradient, keras in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, keras, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(after["mean"], case.mean_after, rtol=1e-5)
    # Keras records the unbiased variance of the batch, n / (n − 1) times what it divides by.
    n = case.x.size // 5
    share = (after["var"] - 0.9 * case.var) * (n / (n - 1)) if training else 0.1 * case.var
    np.testing.assert_allclose(0.9 * case.var + share, case.var_after, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 5)])
def test_batch_norm_in_training_by_its_formula(shape):
    x, scale, bias = 3 * reals(shape) + 2, reals(5, seed=1), reals(5, seed=2)
    before = {"mean": reals(5, seed=3), "var": reals(5, seed=4) ** 2}
    layer = BatchNorm(epsilon=1e-2, momentum=0.8)
    y, after = layer.apply(
        {"params": {"scale": scale, "bias": bias}, "batch_stats": before},
        x,
        train=True,
        mutable=["batch_stats"],
    )
    rows = x.reshape(-1, 5).astype(np.float64)
    mean, var = rows.mean(0), rows.var(0)  # biased: divided by the number of rows
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-2) * scale + bias, atol=1e-5)
    after = after["batch_stats"]
    np.testing.assert_allclose(after["mean"], 0.8 * before["mean"] + 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(after["var"], 0.8 * before["var"] + 0.2 * var, rtol=1e-5)


def test_batch_norm_by_its_statistics_and_frozen():
    x, scale, bias, mean = reals((4, 3, 2, 5)), *(reals(5, seed) for seed in (1, 2, 3))
    var = reals(5, seed=4) ** 2
    layer = BatchNorm(epsilon=1e-2, momentum=0.8)
    variables = {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }
    y, after = layer.apply(variables, x, mutable=["batch_stats"])
    expected = (x.astype(np.float64) - mean) / np.sqrt(var + 1e-2) * scale + bias
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for name, value in after["batch_stats"].items():
        np.testing.assert_array_equal(value, variables["batch_stats"][name])
    multiplier, offset = fold(scale, bias, mean, var, epsilon=1e-2)
    frozen = layer.clone(frozen=True).apply(
        {"params": {"multiplier": multiplier, "bias": offset}}, x
    )
    np.testing.assert_array_equal(frozen, y)


def test_a_new_batch_norm_has_mean_0_and_variance_1():
    layer = BatchNorm(epsilon=1e-5, momentum=0.9)
    x = 5 + reals((4, 3))
    variables = layer.init(KEY, x, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
    np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)
    np.testing.assert_allclose(layer.apply(variables, x), x, rtol=1e-5)
    assert not layer.clone(frozen=True).init(KEY, x).keys() & {"batch_stats"}


# --- DepthwiseConv ---------------------------------------------------------------------------


@stored("depthwise")
def test_depthwise_conv_is_keras(case):
    layer = DepthwiseConv(
        case["multiplier"], kernel_size=(case["kh"], case["kw"]), strides=(case["stride"],) * 2
    )
    kernel = case.depthwise_kernel.reshape(case["kh"], case["kw"], 1, -1)
    y, of_x, of_kernel = with_gradient(
        lambda x, kernel: layer.apply({"params": {"kernel": kernel}}, x),
        case.x,
        case.cotangent,
        kernel,
    )
    np.testing.assert_allclose(y, case.y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_x, case.of_x, rtol=1e-4, atol=1e-3)
    expected = case.of_depthwise_kernel.reshape(kernel.shape)
    np.testing.assert_allclose(of_kernel, expected, rtol=1e-4, atol=1e-3)


@PROPERTY
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel_size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.integers(1, 4),
    multiplier=st.integers(1, 4),
)
def test_depthwise_conv_is_a_grouped_convolution(size, kernel_size, strides, channels, multiplier):
    layer = DepthwiseConv(multiplier, kernel_size=kernel_size, strides=strides)
    x, kernel = reals((2, *size, channels)), reals((*kernel_size, 1, channels * multiplier))

    @jax.jit
    def both(x, kernel):
        grouped = lax.conv_general_dilated(
            x,
            kernel,
            strides,
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )
        return layer.apply({"params": {"kernel": kernel}}, x), grouped

    np.testing.assert_allclose(*both(x, kernel), rtol=1e-5, atol=1e-5)


def test_depthwise_kernel_has_one_input_channel():
    layer = DepthwiseConv(8, strides=(2, 2))
    variables = jax.eval_shape(layer.init, KEY, reals((1, 7, 8, 3)))
    assert jax.tree.map(lambda leaf: leaf.shape, variables) == {"params": {"kernel": (3, 3, 1, 24)}}


# --- pools -----------------------------------------------------------------------------------


@stored("max_pool")
def test_max_pool_is_keras_also_in_ties(case):
    y, of_x = with_gradient(max_pool, case.x, case.cotangent)
    np.testing.assert_array_equal(y, case.y)
    np.testing.assert_array_equal(of_x, case.of_x)


SIZES = st.sampled_from([(2, 2), (4, 6), (5, 4), (6, 7), (3, 9)])


@PROPERTY
@given(size=SIZES, levels=st.sampled_from([1, 2, 3, 1000]), seed=st.integers(0, 99))
def test_max_pool_is_xlas_reduce_window(size, levels, seed):
    """Forward and back, with windows of one, two or three different values and of all different."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, (2, *size, 3)).astype(np.float32) - levels // 2
    g = bytes_of((2, size[0] // 2, size[1] // 2, 3), seed)
    pairs = zip(with_gradient(max_pool, x, g), with_gradient(xla_max_pool, x, g), strict=True)
    for array, expected in pairs:
        np.testing.assert_array_equal(array, expected)


def xla_max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def test_the_first_maximum_gets_the_gradient():
    x = jnp.asarray([[1, 1, 0, 3], [1, 1, 3, 3]], jnp.float32)[None, ..., None]
    gradient = with_gradient(max_pool, x, jnp.ones((1, 1, 2, 1)))[1]
    assert gradient[0, ..., 0].tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]


def test_pools_of_nan_are_nan():
    x = jnp.ones((1, 4, 4, 1)).at[0, 1, 2, 0].set(jnp.nan)
    for function in (max_pool, avg_pool):
        assert jnp.isnan(function(x))[0, ..., 0].tolist() == [[False, True], [False, False]]


@PROPERTY
@given(size=SIZES)
def test_avg_pool_is_the_mean_of_four(size):
    x, g = reals((2, *size, 3)), reals((2, size[0] // 2, size[1] // 2, 3), seed=1)
    y, of_x = with_gradient(avg_pool, x, g)
    even = x[:, : size[0] // 2 * 2, : size[1] // 2 * 2]
    quarters = even.reshape(2, size[0] // 2, 2, size[1] // 2, 2, 3)
    np.testing.assert_allclose(y, quarters.mean((2, 4)), atol=1e-6)
    expected = np.zeros_like(x)
    expected[:, : even.shape[1], : even.shape[2]] = g.repeat(2, 1).repeat(2, 2) / 4
    np.testing.assert_allclose(of_x, expected, rtol=1e-6)


def test_the_options_choose_the_pool():
    x = jnp.asarray([[0.0, 1.0], [2.0, 5.0]])[None, ..., None]
    assert pool(x, Options()).item() == 5
    assert pool(x, Options(pooling="avg")).item() == 2


# --- Options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "part"),
    [
        ({"pseudo_gradient": "ste_tern"}, "pseudo_gradient is 'ste_tern', needs one of"),
        ({"pooling": "mean"}, "pooling is 'mean', needs one of ('max', 'avg')"),
        ({"backend": "cuda"}, "backend is 'cuda', needs one of ('auto', 'packed', 'dense')"),
        ({"gradient_dtype": "float16"}, "gradient_dtype is 'float16', needs one of"),
        ({"clip": 0.0}, "clip is 0.0, needs a positive number or None"),
        ({"clip": -1.0}, "clip is -1.0, needs"),
        ({"clip": float("nan")}, "clip is nan, needs"),
    ],
)
def test_choices_that_do_not_exist_are_refused(choice, part):
    with pytest.raises(ValueError, match="needs") as caught:
        Options(**choice)
    assert str(caught.value).startswith(part)


def test_options_are_hashable_and_equal_by_value():
    assert len({Options(), Options(clip=1.0), Options(clip=None)}) == 2
