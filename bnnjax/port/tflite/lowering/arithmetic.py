"""Lowers equations of a jaxpr that treat all pixels alike, or move them.

A handler takes the draft, the equation and its inputs, and returns the value of its result. An
input is the number of a value, or `Known` if it depends on weights alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from bnnjax.port.tflite.lowering.draft import Draft, Shape
from bnnjax.port.tflite.lowering.known import Known

Input = int | Known


def operand(draft: Draft, value: Input) -> int:
    """A value, or a constant for arithmetic, which repeats operands by itself."""
    return draft.constant(value.once) if isinstance(value, Known) else value


def whole_constant(draft: Draft, value: Input) -> int:
    """The same with all axes of a constant."""
    return draft.constant(value.value) if isinstance(value, Known) else value


def reshaped(draft: Draft, value: int, shape: Shape) -> int:
    """The value in another shape."""
    if draft.shapes[value] == shape:
        return value
    return draft.add("RESHAPE", [value, draft.constant(np.asarray(shape, np.int32))], shape)


def _binary(kind: str, draft: Draft, equation: Any, x: Input, y: Input) -> int:
    commutes = kind not in ("SUB", "DIV", "POW")
    if commutes and isinstance(x, Known):
        x, y = y, x
    inputs = [operand(draft, x), operand(draft, y)]
    shape = np.broadcast_shapes(*(draft.shapes[value] for value in inputs))
    return draft.add(kind, inputs, shape)


def _maximum(draft: Draft, equation: Any, x: Input, y: Input) -> int:
    """Where one is 0, a ReLU."""
    for value, other in ((x, y), (y, x)):
        if isinstance(value, int) and isinstance(other, Known) and not other.once.any():
            return draft.add("RELU", [value], draft.shapes[value])
    return _binary("MAXIMUM", draft, equation, x, y)


def _unary(kind: str, draft: Draft, equation: Any, x: int) -> int:
    return draft.add(kind, [x], draft.shapes[x])


def _log1p(draft: Draft, equation: Any, x: int) -> int:
    shifted = draft.add("ADD", [x, draft.constant(np.float32(1))], draft.shapes[x])
    return draft.add("LOG", [shifted], draft.shapes[x])


def _expm1(draft: Draft, equation: Any, x: int) -> int:
    grown = draft.add("EXP", [x], draft.shapes[x])
    return draft.add("SUB", [grown, draft.constant(np.float32(1))], draft.shapes[x])


def _same(draft: Draft, equation: Any, x: int) -> int:
    return x


def _convert(draft: Draft, equation: Any, x: int) -> int:
    if equation.params["new_dtype"] != np.float32:
        raise ValueError(f"computes in {equation.params['new_dtype']}, not in float32")
    if equation.invars[0].aval.dtype != np.bool_:
        return x
    one, zero = (draft.constant(np.float32(value)) for value in (1, 0))
    return draft.add("SELECT_V2", [x, one, zero], draft.shapes[x])


def _power(draft: Draft, equation: Any, x: int) -> int:
    """x to the power of a constant integer, by multiplications."""
    result = x
    for _ in range(equation.params["y"] - 1):
        result = draft.add("MUL", [result, x], draft.shapes[x])
    return result


def _reshape(draft: Draft, equation: Any, x: int) -> int:
    return reshaped(draft, x, tuple(equation.outvars[0].aval.shape))


def _broadcast(draft: Draft, equation: Any, x: int) -> int:
    """With sides of 1 where the value would be repeated."""
    sides = [1] * len(equation.params["shape"])
    for side, axis in zip(draft.shapes[x], equation.params["broadcast_dimensions"], strict=True):
        sides[axis] = side
    return reshaped(draft, x, tuple(sides))


def repeated(draft: Draft, value: int, shape: Shape) -> int:
    """The value with its sides of 1 repeated to a shape."""
    if draft.shapes[value] == shape:
        return value
    sides = draft.constant(np.asarray(shape, np.int32))
    return draft.add("BROADCAST_TO", [value, sides], shape)


def _transpose(draft: Draft, equation: Any, x: int) -> int:
    return transposed(draft, x, equation.params["permutation"])


def transposed(draft: Draft, x: int, order: Sequence[int]) -> int:
    """The value with its axes in another order."""
    if list(order) == sorted(order):
        return x
    shape = tuple(draft.shapes[x][axis] for axis in order)
    return draft.add("TRANSPOSE", [x, draft.constant(np.asarray(order, np.int32))], shape)


def _split(draft: Draft, equation: Any, x: int) -> list[int]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    if len(sizes) == 1:
        return [x]
    ends = np.cumsum(sizes)
    starts = [(0,) * axis + (int(end - n),) for end, n in zip(ends, sizes, strict=True)]
    shapes = [tuple(variable.aval.shape) for variable in equation.outvars]
    return [cut(draft, x, *pair) for pair in zip(starts, shapes, strict=True)]


def _slice(draft: Draft, equation: Any, x: int) -> int:
    shape = tuple(equation.outvars[0].aval.shape)
    return cut(draft, x, equation.params["start_indices"], shape, equation.params["strides"])


def cut(draft: Draft, x: int, start: Shape, shape: Shape, strides: Shape | None = None) -> int:
    """The part of a value that begins at ``start`` (0 where that is too short)."""
    begin = np.asarray((*start, *(0,) * (len(shape) - len(start))), np.int32)
    steps = np.asarray(strides or (1,) * len(shape), np.int32)
    end = begin + (np.asarray(shape, np.int32) - 1) * steps + 1
    where = [draft.constant(each) for each in (begin, end, steps)]
    return draft.add("STRIDED_SLICE", [x, *where], shape)


def _concatenate(draft: Draft, equation: Any, *parts: Input) -> int:
    inputs = [whole_constant(draft, part) for part in parts if not _empty(part)]
    if len(inputs) == 1:
        return inputs[0]
    shape = tuple(equation.outvars[0].aval.shape)
    return draft.add("CONCATENATION", inputs, shape, Axis=equation.params["dimension"])


def _empty(value: Input) -> bool:
    return isinstance(value, Known) and value.value.size == 0


def _pad(draft: Draft, equation: Any, x: int, value: Input) -> int:
    config = equation.params["padding_config"]
    if not isinstance(value, Known) or any(min(each) < 0 or each[2] for each in config):
        raise ValueError(f"pads by {config}, which TFLite does not")
    return padded(draft, x, tuple(each[:2] for each in config), float(value.value))


def padded(draft: Draft, x: int, amounts: tuple[tuple[int, int], ...], value: float) -> int:
    """The value with a constant border."""
    if not any(map(any, amounts)):
        return x
    sides = zip(draft.shapes[x], amounts, strict=True)
    shape = tuple(side + sum(amount) for side, amount in sides)
    inputs = [x, draft.constant(np.asarray(amounts, np.int32))]
    if not value:
        return draft.add("PAD", inputs, shape)
    return draft.add("PADV2", [*inputs, draft.constant(np.float32(value))], shape)


def _reduce(kind: str, draft: Draft, equation: Any, x: int) -> int:
    axes = draft.constant(np.asarray(equation.params["axes"], np.int32))
    return draft.add(kind, [x, axes], tuple(equation.outvars[0].aval.shape), KeepDims=False)


def _prelu(draft: Draft, equation: Any, x: int, alpha: Input) -> int:
    if not isinstance(alpha, Known):
        raise ValueError("has a PReLU whose slope depends on the picture")
    missing = len(draft.shapes[x]) - 1 - alpha.value.ndim  # axes, apart from the batch
    slopes = alpha.value.reshape((1,) * missing + alpha.value.shape)
    return draft.add("PRELU", [x, draft.constant(slopes)], draft.shapes[x])


BROADCASTING = ("add", "sub", "mul", "div", "max", "min", "pow", "broadcast_in_dim")
HANDLERS: dict[str, Callable[..., Any]] = {
    "add": partial(_binary, "ADD"),
    "sub": partial(_binary, "SUB"),
    "mul": partial(_binary, "MUL"),
    "div": partial(_binary, "DIV"),
    "pow": partial(_binary, "POW"),
    "min": partial(_binary, "MINIMUM"),
    "max": _maximum,
    "integer_pow": _power,
    "square": lambda draft, equation, x: draft.add("MUL", [x, x], draft.shapes[x]),
    "abs": partial(_unary, "ABS"),
    "exp": partial(_unary, "EXP"),
    "expm1": _expm1,
    "gelu": partial(_unary, "GELU"),
    "floor": partial(_unary, "FLOOR"),
    "log1p": _log1p,
    "log": partial(_unary, "LOG"),
    "logistic": partial(_unary, "LOGISTIC"),
    "neg": partial(_unary, "NEG"),
    "round": partial(_unary, "ROUND"),
    "rsqrt": partial(_unary, "RSQRT"),
    "sign": partial(_unary, "SIGN"),
    "sqrt": partial(_unary, "SQRT"),
    "tanh": partial(_unary, "TANH"),
    "copy": _same,
    "stop_gradient": _same,
    "convert_element_type": _convert,
    "reshape": _reshape,
    "squeeze": _reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "split": _split,
    "slice": _slice,
    "concatenate": _concatenate,
    "pad": _pad,
    "reduce_sum": partial(_reduce, "SUM"),
    "reduce_max": partial(_reduce, "REDUCE_MAX"),
    "prelu": _prelu,
}
