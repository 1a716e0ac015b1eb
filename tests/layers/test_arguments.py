"""Valid and invalid values of layers' fields."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from bnnjax import layers, quant
from bnnjax.layers import (
    Conv,
    DepthwiseConv,
    QuantConv,
    QuantConv1D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantDense,
    QuantDepthwiseConv,
    QuantSeparableConv,
    QuantSeparableConv1D,
    avg_pool,
    max_pool,
)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (Conv(8, 3, 2), Conv(8, (3, 3), (2, 2))),
        (QuantConv(8, 3, dilation=2), QuantConv(8, (3, 3), dilation=[2, 2])),
        (QuantConv(8, padding="same"), QuantConv(8, padding="SAME")),
        (QuantConv(8, padding="Valid"), QuantConv(8, padding="VALID")),
        (QuantConv(8, pad_values=1.0), QuantConv(8, pad_values=1)),
        (DepthwiseConv(5, 2), DepthwiseConv((5, 5), (2, 2))),
        (QuantDepthwiseConv(5, strides=2), QuantDepthwiseConv((5, 5), strides=(2, 2))),
        (QuantConv1D(8, 5, 2), QuantConv1D(8, (5,), (2,))),
        (QuantConv1D(8, padding="causal"), QuantConv1D(8, padding="CAUSAL")),
        (QuantConv3D(8, 2, dilation=1), QuantConv3D(8, (2, 2, 2), dilation=(1, 1, 1))),
        (
            QuantConv2DTranspose(8, 3, 2, output_padding=1),
            QuantConv2DTranspose(8, (3, 3), (2, 2), output_padding=(1, 1)),
        ),
        (QuantSeparableConv(8, 3, 2), QuantSeparableConv(8, (3, 3), (2, 2))),
        (QuantSeparableConv1D(8, 3, 2), QuantSeparableConv1D(8, (3,), (2,))),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_integer_applies_to_all_axes_and_case_does_not_matter(short, long):
    assert short == long


def test_quantizers_have_larqs_names():
    named = QuantConv(8, input_quantizer="approx_sign", kernel_quantizer="ste_sign")
    assert named.input_quantizer is quant.approx_sign
    assert named.kernel_quantizer is quant.ste_sign
    separable = QuantSeparableConv(
        8, depthwise_quantizer="ste_tern", pointwise_quantizer="xnor_weight_scale"
    )
    assert separable.depthwise_quantizer is quant.ste_tern
    assert separable.pointwise_quantizer is quant.xnor_weight_scale


def test_fields_stay_when_a_layer_is_copied():
    layer = QuantConv(8, 3, 2, input_quantizer="ste_sign")
    assert layer.clone(features=9) == QuantConv(9, 3, 2, input_quantizer=quant.ste_sign)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(QuantConv, 0), "features is 0, needs a positive integer"),
        (partial(QuantConv, 8.0), "features is 8.0, needs a positive integer"),
        (partial(QuantConv, True), "features is True, needs"),
        (partial(QuantDense, -1), "features is -1, needs"),
        (partial(QuantConv, 8, groups=0), "groups is 0, needs"),
        (partial(DepthwiseConv, multiplier=0), "multiplier is 0, needs"),
        (partial(QuantConv, 8, 0), "kernel_size is 0, needs an integer of at least 1, or 2"),
        (partial(QuantConv, 8, (3, 3, 3)), r"kernel_size is \(3, 3, 3\), needs .* or 2 of them"),
        (partial(QuantConv1D, 8, (3, 3)), r"kernel_size is \(3, 3\), needs .* or 1 of them"),
        (partial(Conv, 8, "33"), "kernel_size is '33', needs"),
        (partial(Conv, 8, strides=(1, 0)), r"strides is \(1, 0\), needs"),
        (partial(QuantConv, 8, dilation=1.5), "dilation is 1.5, needs"),
        (partial(QuantConv2DTranspose, 8, output_padding=-1), "output_padding is -1, needs"),
        (partial(QuantConv, 8, padding="full"), r"padding is 'full', needs one of \('SAME', 'VA"),
        (partial(QuantConv, 8, padding=1), "padding is 1, needs one of"),
        (partial(QuantConv, 8, padding="causal"), "padding is 'causal', needs one of"),
        (partial(QuantConv3D, 8, padding="causal"), "padding is 'causal', needs one of"),
        (partial(QuantConv, 8, pad_values=2), "pad_values is 2, needs -1, 0 or 1"),
        (partial(QuantConv1D, 8, pad_values=2), "pad_values is 2, needs -1, 0 or 1"),
        (partial(QuantConv, 8, weight_clip=0), "weight_clip is 0, needs a positive number or None"),
        (partial(QuantConv, 8, input_quantizer="ste_sgn"), "did you mean 'ste_sign'"),
        (partial(QuantConv, 8, kernel_quantizer=1), "kernel_quantizer is 1, needs a function"),
        (partial(QuantSeparableConv, 8, depthwise_quantizer=1), "depthwise_quantizer is 1, needs"),
    ],
)
def test_wrong_fields_are_refused_when_a_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("layer", [QuantConv(4), DepthwiseConv(), Conv(4)])
@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 4, 3)])
def test_inputs_of_another_rank_are_refused(layer, shape):
    with pytest.raises(ValueError, match=r"the input has shape .*, needs \[N, 2 spatial axes, C\]"):
        jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize("function", [max_pool, avg_pool])
def test_pools_take_padding_in_any_case(function):
    x = jnp.arange(25.0).reshape(1, 5, 5, 1)
    assert (function(x, padding="same") == function(x, padding="SAME")).all()


def test_float_layers_are_not_quantized_ones():
    assert not issubclass(Conv, layers.Quantized)
    assert not issubclass(DepthwiseConv, layers.Quantized)
    assert issubclass(QuantConv, layers.Quantized)
    assert issubclass(QuantDepthwiseConv, layers.Quantized)
