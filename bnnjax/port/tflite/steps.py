"""What each step of a network from a ``.tflite`` file computes.

Each function takes the step, the network's options and the values that the step reads. Weights come
from the variables.

Integer sums often lie exactly at the kink of an activation, or are tied. The gradients there follow
TensorFlow; those of JAX's own functions are mostly half as large.
"""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Conv, DepthwiseConv, Options, QuantConv, avg_pool, pool
from bnnjax.layers.activation import prelu
from bnnjax.port.tflite.program import Cut, Grid, Step, Window

ACTIVATIONS: dict[int, Callable[[Array], Array]] = {  # by the schema's enumeration
    0: lambda x: x,
    1: nn.relu,
    2: jax.nn.hard_tanh,
    3: lambda x: jnp.where(x >= 6, 6, nn.relu(x)),
    4: jnp.tanh,
}


def perform(step: Step, options: Options, *inputs: Any) -> Any:
    """Computes the value of a step; call it within a linen module.

    Raises:
      ValueError: the shapes of the inputs do not fit; the message names the operator in the file.
    """
    try:
        return STEPS[step.kind](step, options, *inputs)
    except (ValueError, TypeError) as error:  # JAX raises either for wrong shapes
        shapes = ", ".join(str(list(np.shape(value))) for value in inputs)
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{step.where} cannot take {shapes}: {first}") from None


# --- layers with weights -------------------------------------------------------------------


def _binary_conv(step: Step, options: Options, x: Array) -> Array:
    """The integer sums of the signs of ``x`` times a binary kernel."""
    return QuantConv(
        input_quantizer=options.input_quantizer,
        kernel_quantizer=quant.ste_sign,
        **_convolution(step),
    )(x)


def _conv(step: Step, options: Options, x: Array) -> Array:
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


def _depthwise(step: Step, options: Options, x: Array) -> Array:
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


def _norm(step: Step, options: Options, x: Array) -> Array:
    return BatchNorm(epsilon=0.0, momentum=1.0, name=step.name)(x)


def _dense(step: Step, options: Options, x: Array) -> Array:
    inputs, features, use_bias, keep = step.options
    values = x.shape[-1] if keep else x[0].size
    if values != inputs:
        raise ValueError(f"a dense layer needs {inputs} values per picture and gets {values}")
    if not keep:
        x = x.reshape(x.shape[0], inputs)
    return nn.Dense(features, use_bias=use_bias, name=step.name)(x)


# --- steps without weights -----------------------------------------------------------------


def _max_pool(step: Step, options: Options, x: Array) -> Array:
    window: Window = step.options
    where = {"size": window.size, "stride": window.strides, "padding": window.padding}
    return pool(x, options, **where)


def _avg_pool(step: Step, options: Options, x: Array) -> Array:
    window: Window = step.options
    return avg_pool(x, size=window.size, stride=window.strides, padding=window.padding)


def _arithmetic(apply: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compute(step: Step, options: Options, x: Any, y: Any) -> Any:
        return apply(*_aligned(step, x, y))

    return compute


def _aligned(step: Step, x: Any, y: Any) -> tuple[Any, Any]:
    """Both values with the same rank. The first axis of computed values is the batch, as in a gate
    [N, C] times a map [N, h, w, C]; a file for one picture does not necessarily express this."""
    if any(isinstance(ref, str) for ref in step.inputs) or x.ndim == y.ndim:
        return x, y
    if x.ndim > y.ndim:
        return _aligned(step, y, x)[::-1]
    ones = (1,) * (y.ndim - x.ndim)
    return x.reshape(x.shape[0], *ones, *x.shape[1:]), y


def _reshape(step: Step, options: Options, x: Array, shape: Any = None) -> Array:
    if shape is None:
        shape = (x.shape[0], *step.options[1:])
    return x.reshape([int(side) for side in shape])


def _flatten(step: Step, options: Options, x: Array) -> Array:
    if x.shape[1:] != step.options:
        raise ValueError(f"what follows needs a map {list(step.options)}")
    return x.reshape(x.shape[0], -1)


def _mean(step: Step, options: Options, x: Array) -> Array:
    axes, keepdims = step.options
    return x.mean(axis=axes, keepdims=keepdims)


def _pad(step: Step, options: Options, x: Array) -> Array:
    amounts, value = step.options
    return jnp.pad(x, amounts, constant_values=value)


def _slice(step: Step, options: Options, x: Any) -> Any:
    cut: Cut = step.options
    index: list[Any] = []
    for axis, (begin, end, stride) in enumerate(zip(*cut[:3], strict=True)):
        if cut.shrink_mask >> axis & 1:
            index.append(begin)
            continue
        first = None if cut.begin_mask >> axis & 1 else begin
        index.append(slice(first, None if cut.end_mask >> axis & 1 else end, stride))
    if isinstance(x, np.ndarray):  # the sides of a tensor
        return x[tuple(index)]
    # On the batch axis, the file slices its single picture; we keep the whole batch.
    return x[(slice(None), *index[1:])]


def _pack(step: Step, options: Options, *values: Any) -> np.ndarray:
    given = iter(values)
    known: Any = step.options
    return np.asarray([next(given) if number is None else number for number in known])


def _part(step: Step, options: Options, x: Array) -> Array:
    axis, number, of = step.options
    return jnp.split(x, of, axis)[number]


def _round(step: Step, options: Options, x: Array) -> Array:
    return round_to(step.options, x)


def round_to(grid: Grid, x: Array) -> Array:
    """Rounds to the nearest number of the grid, ties away from 0; the gradient passes straight
    through within the range of the grid."""
    low, high = (grid.scale * (q - grid.zero_point) for q in (grid.low, grid.high))
    inside = jnp.clip(x, low, high)
    steps = inside / grid.scale
    rounded = grid.scale * jnp.sign(steps) * jnp.floor(jnp.abs(steps) + 0.5)
    return inside + jax.lax.stop_gradient(rounded - inside)


def _unary(apply: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda step, options, x: apply(x)


STEPS: dict[str, Callable[..., Any]] = {
    "binary_conv": _binary_conv,
    "conv": _conv,
    "depthwise": _depthwise,
    "norm": _norm,
    "dense": _dense,
    "activate": lambda step, options, x: ACTIVATIONS[step.options](x),
    "sign": lambda step, options, x: options.input_quantizer(x),
    "round": _round,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "whole_mean": lambda step, options, x: x.mean(axis=(1, 2), keepdims=True),
    "mean": _mean,
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "mul": _arithmetic(operator.mul),
    "div": _arithmetic(operator.truediv),
    "maximum": _arithmetic(lambda x, y: jnp.where((x >= y) | jnp.isnan(x), x, y)),
    "minimum": _arithmetic(lambda x, y: jnp.where((x <= y) | jnp.isnan(x), x, y)),
    "prelu": lambda step, options, x, alpha: prelu(x, alpha),
    "logistic": _unary(jax.nn.sigmoid),
    "tanh": _unary(jnp.tanh),
    "abs": _unary(jnp.abs),
    "softmax": lambda step, options, x: jax.nn.softmax(step.options * x),
    "concat": lambda step, options, *xs: jnp.concatenate(xs, step.options),
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": lambda step, options, x: x.transpose(step.options),
    "pad": _pad,
    "slice": _slice,
    "part": _part,
    "shape": lambda step, options, x: np.asarray(x.shape),
    "pack": _pack,
}
