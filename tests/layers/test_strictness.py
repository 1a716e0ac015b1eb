"""Layers compute in float32 whatever JAX's defaults are, and promote nothing implicitly."""

import contextlib

import jax
import jax.numpy as jnp
import pytest

from bnnjax.binary.backend import Arithmetic, using
from bnnjax.layers import (
    BatchNorm,
    BlurPool,
    Conv,
    DepthwiseConv,
    PReLU,
    QuantConv,
    QuantConv1D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantDense,
    QuantDepthwiseConv,
    Quantized,
    QuantLocallyConnected1D,
    QuantLocallyConnected2D,
    QuantSeparableConv,
    QuantSeparableConv1D,
    avg_pool,
    max_pool,
)
from bnnjax.models.forms import freeze_layer

pytestmark = pytest.mark.slow

SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
BITS = {"input_quantizer": "dorefa_quantizer", "kernel_quantizer": "magnitude_aware_sign"}
PARTS = {"depthwise_quantizer": "ste_sign", "pointwise_quantizer": "magnitude_aware_sign"}
NORM = {"epsilon": 1e-3, "momentum": 0.9}
PICTURE = (2, 6, 6, 3)
LAYERS = [
    (QuantConv(4, strides=2, pad_values=1, use_bias=True, **SIGNS), (2, 6, 6, 40)),
    (QuantConv(4, groups=2, **SIGNS), (2, 6, 6, 4)),
    (QuantConv(4, **BITS), PICTURE),
    (QuantConv(4, kernel_quantizer="xnor_weight_scale", weight_clip=1.0), PICTURE),
    (QuantConv(4, kernel_quantizer="ste_tern"), PICTURE),
    (Conv(4, use_bias=True), PICTURE),
    (Conv(4, 1, strides=2), PICTURE),
    (DepthwiseConv(multiplier=2), PICTURE),
    (BlurPool(), PICTURE),
    (QuantDepthwiseConv(kernel_quantizer="xnor_weight_scale"), PICTURE),
    (QuantDense(4, use_bias=True, **SIGNS), (2, 5, 40)),
    (QuantDense(4, **BITS), (2, 40)),
    (QuantSeparableConv(4, input_quantizer="swish_sign", **PARTS), PICTURE),
    (QuantConv1D(4, **SIGNS), (2, 6, 3)),
    (QuantConv3D(4, 2, use_bias=True, **SIGNS), (1, 4, 4, 4, 3)),
    (QuantConv2DTranspose(4, 2, **SIGNS), PICTURE),
    (QuantConv3DTranspose(4, 2, kernel_quantizer="magnitude_aware_sign"), (1, 4, 4, 4, 3)),
    (QuantSeparableConv1D(4, **PARTS), (2, 6, 3)),
    (QuantSeparableConv1D(4, padding="causal", dilation=2, **PARTS), (2, 6, 3)),
    (QuantConv1D(4, groups=2, **SIGNS), (2, 6, 4)),
    (QuantLocallyConnected1D(4, use_bias=True, **SIGNS), (2, 6, 3)),
    (QuantLocallyConnected2D(4, kernel_quantizer="magnitude_aware_sign"), PICTURE),
    (PReLU(), PICTURE),
    (BatchNorm(**NORM), PICTURE),
    (BatchNorm(**NORM, use_scale=False, use_bias=False), PICTURE),
]
TWO_FORMS = [case for case in LAYERS if isinstance(case[0], Quantized | BatchNorm)]


@pytest.fixture(autouse=True)
def strict():
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        stack.enter_context(jax.enable_x64(True))
        yield


def assert_float32(tree):
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} <= {jnp.dtype("float32")}


def made(layer, shape):
    """Latent variables and an input."""
    x = jnp.resize(jnp.linspace(-2, 2, num=101, dtype=jnp.float32), shape)
    return layer.init(jax.random.key(0), x), x


BACKENDS = pytest.mark.parametrize("backend", ["packed", "dense"])


@BACKENDS
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: type(value).__name__)
def test_latent_layers_and_their_gradients_are_float32(layer, shape, backend):
    variables, x = made(layer, shape)
    with using(Arithmetic(backend)):
        gradients = jax.grad(lambda *each: layer.apply(*each).sum(), argnums=(0, 1))(variables, x)
        assert_float32((variables, layer.apply(variables, x), gradients))


@BACKENDS
@pytest.mark.parametrize(("layer", "shape"), TWO_FORMS, ids=lambda value: type(value).__name__)
def test_frozen_layers_and_their_gradients_are_float32(layer, shape, backend):
    variables, x = made(layer, shape)
    params, stats = variables.get("params", {}), variables.get("batch_stats", {})
    frozen = {"params": freeze_layer(layer, params, stats)}
    with using(Arithmetic(backend)):
        gradient = jax.grad(lambda x: layer.apply(frozen, x).sum())(x)
        assert_float32((layer.apply(frozen, x), gradient))


@pytest.mark.parametrize("function", [max_pool, avg_pool])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools_and_their_gradients_are_float32(function, padding):
    x = jnp.ones((1, 5, 6, 2), jnp.float32)
    y, pull_back = jax.vjp(lambda x: function(x, size=3, padding=padding), x)
    assert_float32((y, pull_back(y)))
