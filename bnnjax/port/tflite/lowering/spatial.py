"""Lowers XLA's convolutions, along any axes and transposed, and pools along three axes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bnnjax.binary.windows import Geometry, geometry
from bnnjax.port.tflite.lowering.arithmetic import cut, padded, reshaped, transposed
from bnnjax.port.tflite.lowering.draft import Draft, Shape
from bnnjax.port.tflite.lowering.known import Known
from bnnjax.port.tflite.lowering.windows import (
    SAME,
    VALID,
    conv_2d,
    depthwise,
    pool,
    result_shape,
    same_pads,
)


class Conv(NamedTuple):
    """A convolution with kernel [*size, C / groups, O]."""

    kernel: np.ndarray
    strides: Shape
    pads: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int

    @property
    def size(self) -> Shape:
        return self.kernel.shape[:-2]

    @property
    def extents(self) -> list[int]:
        """The size with dilation."""
        return [(k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True)]


def _conv(draft: Draft, equation: Any, x: int, kernel: Known) -> int:
    """``conv_general_dilated`` with channels last."""
    params, rank = equation.params, len(draft.shapes[x]) - 2
    numbers, last = params["dimension_numbers"], (0, rank + 1, *range(1, rank + 1))
    if (numbers.lhs_spec, numbers.out_spec) != (last, last) or params["batch_group_count"] != 1:
        raise ValueError("computes a convolution with channels first, or with groups of pictures")
    outputs, inputs, *axes = numbers.rhs_spec
    conv = Conv(
        kernel.value.transpose(*axes, inputs, outputs),
        params["window_strides"],
        params["padding"],
        params["rhs_dilation"],
        params["feature_group_count"],
    )
    shape = result_shape(equation)
    if set(params["lhs_dilation"]) != {1}:
        return _transposed(draft, x, conv, params["lhs_dilation"], shape)
    return _RANKS[rank](draft, x, conv, shape)


def _along_one(draft: Draft, x: int, conv: Conv, shape: Shape) -> int:
    """A map of one row."""
    (_, length, channels), (_, places, features) = draft.shapes[x], shape
    conv = Conv(
        conv.kernel[None],
        (1, *conv.strides),
        ((0, 0), *conv.pads),
        (1, *conv.dilation),
        conv.groups,
    )
    row = reshaped(draft, x, (1, 1, length, channels))
    return reshaped(draft, _along_two(draft, row, conv, (1, 1, places, features)), shape)


def _along_two(draft: Draft, x: int, conv: Conv, shape: Shape) -> int:
    _, height, width, channels = draft.shapes[x]
    size, strides, dilation = (_pair(each) for each in (conv.size, conv.strides, conv.dilation))
    rows, columns = conv.pads
    where = Geometry(size, strides, (rows, columns), 0, (height, width), channels, dilation)
    if conv.groups == channels > 1:
        per_channel = conv.kernel.reshape(*size, channels, -1)
        return depthwise(draft, x, per_channel, where, shape)
    return conv_2d(draft, x, conv.kernel, where, shape)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _along_three(draft: Draft, x: int, conv: Conv, shape: Shape) -> int:
    """TFLite's operator has no groups, so each becomes a convolution of its own."""
    sides, channels = draft.shapes[x][1:-1], draft.shapes[x][-1] // conv.groups
    if list(conv.pads) == same_pads(sides, conv.extents, conv.strides):
        options = {"Padding": SAME}
    else:
        options, x = {"Padding": VALID}, padded(draft, x, ((0, 0), *conv.pads, (0, 0)), 0)
    options |= _options("Stride{}", conv.strides) | _options("Dilation{}Factor", conv.dilation)
    results, small = [], (*shape[:-1], shape[-1] // conv.groups)
    for group, kernel in enumerate(np.split(conv.kernel, conv.groups, -1)):
        first = (0, 0, 0, 0, group * channels)
        part = cut(draft, x, first, (*draft.shapes[x][:-1], channels)) if conv.groups > 1 else x
        results.append(draft.add("CONV_3D", [part, *_weights(draft, kernel)], small, **options))
    if len(results) == 1:
        return results[0]
    return draft.add("CONCATENATION", results, shape, Axis=len(shape) - 1)


def _weights(draft: Draft, kernel: np.ndarray) -> list[int]:
    """A kernel [..., features], and a bias of zeros."""
    bias = np.zeros(kernel.shape[-1], np.float32)
    return [draft.constant(np.ascontiguousarray(kernel)), draft.constant(bias)]


def _options(name: str, values: Sequence[int]) -> dict[str, int]:
    axes = "DHW"[-len(values) :]
    return {name.format(axis): value for axis, value in zip(axes, values, strict=True)}


# --- transposed convolutions ---------------------------------------------------------------


def _transposed(draft: Draft, x: int, conv: Conv, strides: Shape, shape: Shape) -> int:
    """The gradient of a convolution with respect to its input.

    TFLite's operator computes that of a SAME or of a VALID convolution. From the latter, any other
    part is cut, for the interpreter computes something else if the operator itself states it.
    """
    if len(strides) not in _TRANSPOSED or conv.groups > 1 or {*conv.strides} != {1}:
        raise ValueError("computes a transposed convolution with groups, or not along 2 or 3 axes")
    sides, places = draft.shapes[x][1:-1], shape[1:-1]
    first = [k - 1 - low for k, (low, _) in zip(conv.extents, conv.pads, strict=True)]
    same = [low for low, _ in same_pads(places, conv.extents, strides)]
    covered = tuple(-(-n // s) for n, s in zip(places, strides, strict=True))
    if first == same and covered == sides:
        return _scatter(draft, x, conv, strides, SAME, shape)
    lines = zip(sides, strides, conv.extents, strict=True)
    whole = tuple((n - 1) * s + k for n, s, k in lines)
    result = _scatter(draft, x, conv, strides, VALID, (1, *whole, shape[-1]))
    last = [begin + n for begin, n in zip(first, places, strict=True)]
    return _part(draft, result, first, last)


def _part(draft: Draft, x: int, first: Sequence[int], last: Sequence[int]) -> int:
    """A part of a map, with zeros beyond its borders."""
    _, *sides, channels = draft.shapes[x]
    start = [max(begin, 0) for begin in first]
    ends = [min(end, side) for end, side in zip(last, sides, strict=True)]
    kept = [end - begin for begin, end in zip(start, ends, strict=True)]
    if kept != sides:
        x = cut(draft, x, (0, *start), (1, *kept, channels))
    missing = [
        (max(-begin, 0), end - inside) for begin, end, inside in zip(first, last, ends, strict=True)
    ]
    return padded(draft, x, ((0, 0), *missing, (0, 0)), 0)


def _spread(kernel: np.ndarray, dilation: Shape) -> np.ndarray:
    """The kernel with zeros between its values."""
    sides = zip(kernel.shape[:-2], dilation, strict=True)
    spread = np.zeros((*((k - 1) * d + 1 for k, d in sides), *kernel.shape[-2:]), kernel.dtype)
    spread[tuple(slice(None, None, d) for d in dilation)] = kernel
    return spread


def _scatter(draft: Draft, x: int, conv: Conv, strides: Shape, padding: int, shape: Shape) -> int:
    """The operator, which has no dilation: the kernel gets zeros."""
    kernel = np.flip(_spread(conv.kernel, conv.dilation), tuple(range(len(strides))))
    bias = draft.constant(np.zeros(shape[-1], np.float32))
    kernel = np.moveaxis(kernel, -1, 0) if len(strides) == 2 else kernel.swapaxes(-1, -2)
    weights = draft.constant(np.ascontiguousarray(kernel))  # [O, kh, kw, I], or [*size, O, I]
    options = {"Padding": padding, **_options("Stride{}", strides)}
    if len(strides) == 3:
        options |= _options("Dilation{}Factor", (1, 1, 1))
    inputs = [draft.constant(np.asarray(shape, np.int32)), weights, x, bias]
    return draft.add(_TRANSPOSED[len(strides)], inputs, shape, **options)


# --- pools along three axes ----------------------------------------------------------------


def _pool_3d(draft: Draft, equation: Any, x: int) -> int:
    """One pool along the last two axes, with the first among the channels, and one along the first
    axis. A pool of pools is right for means, too, because windows and maps are boxes."""
    others = dict(equation.params["others"])
    kind = "AVERAGE_POOL_2D" if others["mean"] else "MAX_POOL_2D"
    _, depth, height, width, channels = draft.shapes[x]
    shape = result_shape(equation)

    def pooled(x: int, sides: slice, shape: Shape) -> int:
        size, strides = ((*others[name][sides], 1)[:2] for name in ("size", "strides"))
        before = draft.shapes[x]
        where = geometry(before, _pair(size), strides=_pair(strides), padding=others["padding"])
        return pool(kind, draft, x, where, shape)

    x = transposed(draft, x, (0, 2, 3, 1, 4))
    x = reshaped(draft, x, (1, height, width, depth * channels))
    x = pooled(x, slice(1, 3), (1, *shape[2:4], depth * channels))
    x = reshaped(draft, x, (1, *shape[2:4], depth, channels))
    x = transposed(draft, x, (0, 3, 1, 2, 4))
    x = reshaped(draft, x, (1, depth, shape[2] * shape[3], channels))
    x = pooled(x, slice(1), (1, shape[1], shape[2] * shape[3], channels))
    return reshaped(draft, x, shape)


_RANKS = {1: _along_one, 2: _along_two, 3: _along_three}
_TRANSPOSED = {2: "TRANSPOSE_CONV", 3: "CONV_3D_TRANSPOSE"}
HANDLERS: dict[str, Callable[..., Any]] = {
    "conv_general_dilated": _conv,
    "pool_3d": _pool_3d,
}
