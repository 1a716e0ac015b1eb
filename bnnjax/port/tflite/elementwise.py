"""Translates the operators of a ``.tflite`` file that compute with numbers, and not with places."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.port.program.program import Call
from bnnjax.port.tflite.builder import GraphBuilder
from bnnjax.port.tflite.graph import Operator


def _binary(kind: str, builder: GraphBuilder, op: Operator) -> None:
    inputs = (builder.operand(op, 0), builder.operand(op, 1))
    bare = builder.finish(op, builder.add(op, kind, inputs))
    if kind == "add" and all(isinstance(ref, int) for ref in inputs):
        builder.tap("add", bare)


def _unary(kind: str, builder: GraphBuilder, op: Operator, *, options: Any = None) -> None:
    builder.unary(kind, op, options=options)


def _function(function: Callable[..., Any], builder: GraphBuilder, op: Operator) -> None:
    """An operator that is a function of all its inputs."""
    inputs = tuple(builder.operand(op, slot) for slot in range(len(op.inputs)))
    builder.finish(op, builder.add(op, "call", inputs, options=Call(function)))


def _reduction(function: Callable[..., Any], builder: GraphBuilder, op: Operator) -> None:
    """A function of the values along constant axes other than the batch."""
    axes = builder.graph.constant(op, 1)
    if axes is None or not np.all(axes):
        raise ValueError("reduces along an axis that is not constant, or over pictures")
    along = tuple(int(axis) for axis in np.atleast_1d(axes))
    options = Call.of(function, axis=along, keepdims=bool(op.options.get("KeepDims")))
    builder.unary("reduce", op, options=options)


def _softmax(builder: GraphBuilder, op: Operator) -> None:
    builder.unary("softmax", op, options=float(op.options.get("Beta", 1.0)))


def _prelu(builder: GraphBuilder, op: Operator) -> None:
    builder.finish(op, builder.add(op, "prelu", (builder.operand(op, 0), builder.operand(op, 1))))


def _leaky_relu(builder: GraphBuilder, op: Operator) -> None:
    builder.unary("call", op, options=Call.of(_leaky, slope=float(op.options["Alpha"])))


def _leaky(x: Array, *, slope: float) -> Array:
    return jnp.where(x > 0, x, slope * x)


def _gelu(builder: GraphBuilder, op: Operator) -> None:
    approximate = bool(op.options.get("Approximate"))
    builder.unary("call", op, options=Call.of(jax.nn.gelu, approximate=approximate))


def _signs(builder: GraphBuilder, op: Operator) -> None:
    builder.signs.add(op.outputs[0])
    builder.signed[op.outputs[0]] = op.inputs[0]
    builder.finish(op, builder.add(op, "activate", (op.inputs[0],), options=0))


def _signs_as_floats(builder: GraphBuilder, op: Operator) -> None:
    builder.finish(op, builder.add(op, "sign", (op.inputs[0],)))


def _squared_difference(x: Array, y: Array) -> Array:
    return jnp.square(x - y)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "CEIL": jnp.ceil,
    "COS": jnp.cos,
    "ELU": jax.nn.elu,
    "EXP": jnp.exp,
    "FLOOR": jnp.floor,
    "HARD_SWISH": jax.nn.hard_swish,
    "LOG": jnp.log,
    "LOG_SOFTMAX": jax.nn.log_softmax,
    "NEG": jnp.negative,
    "POW": jnp.power,
    "ROUND": jnp.round,
    "RSQRT": lax.rsqrt,
    "SIGN": jnp.sign,
    "SIN": jnp.sin,
    "SQRT": jnp.sqrt,
    "SQUARE": jnp.square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "EQUAL": jnp.equal,
    "NOT_EQUAL": jnp.not_equal,
    "GREATER": jnp.greater,
    "GREATER_EQUAL": jnp.greater_equal,
    "LESS": jnp.less,
    "LESS_EQUAL": jnp.less_equal,
    "LOGICAL_AND": jnp.logical_and,
    "LOGICAL_OR": jnp.logical_or,
    "LOGICAL_NOT": jnp.logical_not,
    "SELECT": jnp.where,
    "SELECT_V2": jnp.where,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "MEAN": jnp.mean,
    "REDUCE_MAX": jnp.max,
    "REDUCE_MIN": jnp.min,
    "SUM": jnp.sum,
}

HANDLERS: dict[str, Callable[[GraphBuilder, Operator], None]] = {
    **{kind: partial(_function, function) for kind, function in _FUNCTIONS.items()},
    **{kind: partial(_reduction, function) for kind, function in _REDUCTIONS.items()},
    **dict.fromkeys(("LceQuantize", "LceBsign", "LqceBsign"), _signs),
    "LceDequantize": _signs_as_floats,
    "ADD": partial(_binary, "add"),
    "SUB": partial(_binary, "sub"),
    "MUL": partial(_binary, "mul"),
    "DIV": partial(_binary, "div"),
    "MAXIMUM": partial(_binary, "maximum"),
    "MINIMUM": partial(_binary, "minimum"),
    "RELU": partial(_unary, "activate", options=1),
    "RELU_N1_TO_1": partial(_unary, "activate", options=2),
    "RELU6": partial(_unary, "activate", options=3),
    "PRELU": _prelu,
    "LEAKY_RELU": _leaky_relu,
    "GELU": _gelu,
    "LOGISTIC": partial(_unary, "logistic"),
    "TANH": partial(_unary, "tanh"),
    "ABS": partial(_unary, "abs"),
    "SOFTMAX": _softmax,
    "QUANTIZE": partial(_unary, "activate", options=0),
    "DEQUANTIZE": partial(_unary, "activate", options=0),
}
