"""Evaluates a ``.tflite`` graph operator by operator in float32, as a reference for ports.

It is deliberately simple: nothing is packed or fused, and every binary convolution is a float
convolution of ±1 values. It supports only the operators of networks with float tensors between the
binary layers, as written by Larq Compute Engine in mid-2020 (``LceBconv2d`` on float input, before
version 0.4).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary import bits
from bnnjax.port.tflite.graph import Graph, Operator

_ACTIVATIONS: dict[int, Callable[[Array], Array]] = {
    0: lambda x: x,
    1: lambda x: jnp.maximum(x, 0),
    2: lambda x: jnp.clip(x, -1, 1),
    3: lambda x: jnp.clip(x, 0, 6),
}
_PADDINGS = ("SAME", "VALID")  # the schema's enumeration, which built-in operators use


def evaluate(graph: Graph, images: Array) -> tuple[Array, dict[int, Array]]:
    """Runs the graph on normalized pictures [N, H, W, 3].

    Returns:
      The output of the graph, and the integer sums of every binary convolution before activation,
      multiplier and bias, by position in the graph.

    Raises:
      ValueError: an unsupported operator; the message states its position in the graph.
    """
    values: dict[int, Array] = {graph.inputs[0]: images}
    sums: dict[int, Array] = {}
    with jax.disable_jit():  # one operator at a time, so nothing is fused or reassociated
        for operator in graph.operators:
            inputs = [_input(graph, values, index) for index in operator.inputs]
            if operator.kind == "LceBconv2d":
                sums[operator.position] = binary_sums(operator, *inputs[:2])
                result = _scale(operator, sums[operator.position], *inputs[2:4])
            elif operator.kind in _BUILTINS:
                result = _BUILTINS[operator.kind](operator, *inputs)
            else:
                raise ValueError(f"{operator}: not evaluated here")
            values[operator.outputs[0]] = result
    return values[graph.outputs[0]], sums


def _input(graph: Graph, values: Mapping[int, Array], index: int) -> Any:
    if index < 0:  # an optional input that is absent
        return None
    constant = graph.tensors[index].value
    return values[index] if constant is None else jnp.asarray(constant)


def unpack_filter(filter_words: Array | np.ndarray, channels: int) -> Array:
    """±1 kernel [kh, kw, I, O] of an LCE filter int32 [O, kh, kw, ⌈I/32⌉] (a set bit is −1)."""
    words = jnp.asarray(filter_words).view(jnp.uint32)
    return jnp.moveaxis(-bits.unpack(words, channels), 0, 3)


def binary_sums(operator: Operator, x: Array, filter_words: Array) -> Array:
    """The integer sums of an ``LceBconv2d`` on float input [N, H, W, C]."""
    options = operator.options
    kernel = unpack_filter(filter_words, options["channels_in"])
    strides = (options["stride_height"], options["stride_width"])
    # Before LCE 0.4 this is TfLitePadding's enumeration, unlike that of built-in operators.
    padding = {1: "SAME", 2: "VALID"}[options["padding"]]
    edges = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    signs = jnp.pad(
        jnp.where(x >= 0, 1.0, -1.0),
        ((0, 0), *edges, (0, 0)),
        constant_values=options["pad_values"],
    )
    return _conv(signs, kernel, strides, "VALID")


def _scale(operator: Operator, sums: Array, multiplier: Array, bias: Array) -> Array:
    # The activation acts on the integers, before multiplier and bias (the batch norm).
    activated = _ACTIVATIONS[operator.options["fused_activation_function"]](sums)
    return activated * multiplier + bias


def _conv(
    x: Array, kernel: Array, strides: tuple[int, int], padding: str, groups: int = 1
) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _window(operator: Operator) -> tuple[tuple[int, int], str]:
    options = operator.options
    return (options["StrideH"], options["StrideW"]), _PADDINGS[options["Padding"]]


def _activate(operator: Operator, x: Array) -> Array:
    return _ACTIVATIONS[operator.options["FusedActivationFunction"]](x)


def _conv_2d(operator: Operator, x: Array, kernel: Array, bias: Array) -> Array:
    return _activate(operator, _conv(x, jnp.moveaxis(kernel, 0, 3), *_window(operator)) + bias)


def _depthwise(operator: Operator, x: Array, kernel: Array, bias: Array) -> Array:
    kernel = jnp.moveaxis(kernel, 0, 2)  # [1, h, w, C·m] → [h, w, 1, C·m]
    return _activate(operator, _conv(x, kernel, *_window(operator), x.shape[3]) + bias)


def _pool(operator: Operator, x: Array, start: float, reduce: Callable[..., Array]) -> Array:
    strides, padding = _window(operator)
    size = (operator.options["FilterHeight"], operator.options["FilterWidth"])
    return lax.reduce_window(x, start, reduce, (1, *size, 1), (1, *strides, 1), padding)


def _average_pool(operator: Operator, x: Array) -> Array:
    total = _pool(operator, x, 0.0, lax.add)
    return total / _pool(operator, jnp.ones_like(x), 0.0, lax.add)


def _dense(operator: Operator, x: Array, kernel: Array, bias: Array) -> Array:
    return _activate(operator, x @ kernel.T + bias)


_BUILTINS: dict[str, Callable[..., Array]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MUL": lambda op, x, y: _activate(op, x * y),
    "ADD": lambda op, x, y: _activate(op, x + y),
    "CONCATENATION": lambda op, *xs: _activate(op, jnp.concatenate(xs, op.options["Axis"])),
    "MAX_POOL_2D": lambda op, x: _pool(op, x, -jnp.inf, lax.max),
    "AVERAGE_POOL_2D": _average_pool,
    "RESHAPE": lambda op, x, shape: x.reshape([x.shape[0], *map(int, shape[1:])]),
    "FULLY_CONNECTED": _dense,
    "SOFTMAX": lambda op, x: jax.nn.softmax(x),
}
