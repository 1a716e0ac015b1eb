"""The steps of a program that have weights.

Each function takes the step, the run and the values that the step reads.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Conv, DepthwiseConv, QuantConv
from bnnjax.port.program.program import Norm, Step, Window
from bnnjax.port.program.run import Run


def layer(step: Step, run: Run, x: Array) -> Array:
    """The result of the layer that the options make."""
    return run.layer(step.name, step.options)(x)


def batch_norm(step: Step, run: Run, x: Array) -> Array:
    """A batch norm along any axis, in training as well."""
    norm: Norm = step.options
    least = norm.least_of_maps if x.ndim in (4, 5) else 0.0
    call = norm.layer.replaced(epsilon=max(norm.epsilon, least))
    y = run.layer(step.name, call)(jnp.moveaxis(x, norm.axis, -1), train=run.train)
    return jnp.moveaxis(y, -1, norm.axis)


def binary_conv(step: Step, run: Run, x: Array) -> Array:
    """The integer sums of the signs of ``x`` times a binary kernel."""
    return QuantConv(
        input_quantizer=run.options.input_quantizer,
        kernel_quantizer=quant.ste_sign,
        **_convolution(step),
    )(x)


def conv(step: Step, run: Run, x: Array) -> Array:
    return Conv(**_convolution(step))(x)


def _convolution(step: Step) -> dict[str, Any]:
    """The arguments that binary and float convolutions share."""
    window: Window = step.options
    return {
        "features": window.features,
        "kernel_size": window.size,
        "strides": window.strides,
        "padding": window.padding,
        "pad_values": window.pad_value,
        "dilation": window.dilations,
        "groups": window.groups,
        "use_bias": window.use_bias,
        "name": step.name,
    }


def depthwise(step: Step, run: Run, x: Array) -> Array:
    window: Window = step.options
    return DepthwiseConv(
        multiplier=window.features // x.shape[3],
        kernel_size=window.size,
        strides=window.strides,
        padding=window.padding,
        dilation=window.dilations,
        use_bias=window.use_bias,
        name=step.name,
    )(x)


def norm(step: Step, run: Run, x: Array) -> Array:
    return BatchNorm(epsilon=0.0, momentum=1.0, name=step.name)(x)


def dense(step: Step, run: Run, x: Array) -> Array:
    inputs, features, use_bias, keep = step.options
    values = x.shape[-1] if keep else x[0].size
    if values != inputs:
        raise ValueError(f"a dense layer needs {inputs} values per picture and gets {values}")
    if not keep:
        x = x.reshape(x.shape[0], inputs)
    return nn.Dense(features, use_bias=use_bias, name=step.name)(x)
