"""Translates Keras' layers and operations that combine values, or a value with a number."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from jax import Array

from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.model import Layer
from bnnjax.port.program import weightless

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "maximum": weightless.maximum,
    "minimum": weightless.minimum,
}


def with_number(
    x: Array, *, apply: Callable[[Any, Any], Array], number: float, first: bool
) -> Array:
    """``apply(x, number)``, or ``apply(number, x)`` if the number comes first."""
    return apply(number, x) if first else apply(x, number)


def combine(kind: str, builder: KerasBuilder, layer: Layer, *operands: Any) -> Value:
    """The sum, product … of two or more operands, from the first to the last.

    Raises:
      ValueError: an operand is neither a value nor a number.
    """
    result, *others = operands
    for other in others:
        result = _pair(kind, builder, layer, result, other)
    if kind == "add" and all(isinstance(operand, Value) for operand in operands):
        builder.tap("add", result)
    return result


def _pair(kind: str, builder: KerasBuilder, layer: Layer, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return builder.add(layer, kind, x, y)
    first = not isinstance(x, Value)
    value, number = (y, x) if first else (x, y)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("has an operand that is neither a layer's result nor a number")
    return builder.call(
        layer, with_number, value, apply=FUNCTIONS[kind], number=float(number), first=first
    )


def _average(builder: KerasBuilder, layer: Layer, *operands: Value) -> Value:
    total = combine("add", builder, layer, *operands)
    return combine("div", builder, layer, total, len(operands))


def concatenate(builder: KerasBuilder, layer: Layer, *operands: Value, axis: int) -> Value:
    """The concatenation along an axis."""
    result = builder.add(layer, "concat", *operands, options=axis)
    builder.wholes |= dict.fromkeys(operands, result)
    builder.tap("concat", result)
    return result


def _concatenate(builder: KerasBuilder, layer: Layer, *operands: Value) -> Value:
    return concatenate(builder, layer, *operands, axis=layer.config.get("axis", -1))


HANDLERS: dict[str, Callable[..., Any]] = {
    "Add": partial(combine, "add"),
    "Subtract": partial(combine, "sub"),
    "Multiply": partial(combine, "mul"),
    "Divide": partial(combine, "div"),  # of Keras 3, like the next
    "TrueDivide": partial(combine, "div"),
    "Average": _average,
    "Maximum": partial(combine, "maximum"),
    "Minimum": partial(combine, "minimum"),
    "Concatenate": _concatenate,
}
