"""Lowers convolutions and pools along two axes: whole operations, and maxima of XLA."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from bnnjax.binary import conv
from bnnjax.binary.windows import Geometry, geometry
from bnnjax.port.tflite import lce
from bnnjax.port.tflite.lowering.arithmetic import padded
from bnnjax.port.tflite.lowering.draft import Draft, Shape
from bnnjax.port.tflite.lowering.known import Known

SAME, VALID = 0, 1  # the schema's enumeration


def _placed(draft: Draft, x: int, where: Geometry, own: float) -> tuple[int, int]:
    """The input of a window and its padding; an operator pads with its ``own`` value as TensorFlow
    does, and any other padding becomes an operator of its own."""
    if where.pads == ((0, 0), (0, 0)):
        return x, VALID
    same = same_pads(where.input_size, where.window, where.strides)
    if where.pad_value == own and list(where.pads) == same:
        return x, SAME
    return padded(draft, x, ((0, 0), *where.pads, (0, 0)), where.pad_value), VALID


def same_pads(
    sides: Sequence[int], extents: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """TensorFlow's padding SAME before and after each axis."""
    pads = lax.padtype_to_pads(sides, extents, strides, "SAME")
    return [(int(before), int(after)) for before, after in pads]


def _sides(draft: Draft, x: int) -> tuple[int, int]:
    _, height, width, _ = draft.shapes[x]
    return height, width


def result_shape(equation: Any) -> Shape:
    return tuple(equation.outvars[0].aval.shape)


# --- signs ---------------------------------------------------------------------------------


def _packed_conv(draft: Draft, equation: Any, x: int, words: Known, backward: Known) -> int:
    """A binary convolution. LCE cannot pad signs with −1, nor unevenly with 0."""
    where: Geometry = dict(equation.params["others"])["geometry"]
    _, padding = _placed(Draft(draft.shapes[x]), 0, where, own=0)
    if where.pad_value == 0 and any(map(any, where.pads)) and padding == VALID:
        signs = draft.add("LceQuantize", [x], draft.shapes[x])
        floats = draft.add("LceDequantize", [signs], draft.shapes[x])
        kernel = np.asarray(conv.unpack_kernel(jnp.asarray(words.value), where.channels))
        return conv_2d(draft, floats, kernel, where, result_shape(equation))
    x, padding = _placed(draft, x, where, own=max(where.pad_value, 0))
    return _binary_conv(draft, x, words.value, where, padding, result_shape(equation))


def _binary_conv(
    draft: Draft,
    x: int,
    words: np.ndarray,
    where: Geometry,
    padding: int,
    shape: Shape,
    *,
    multiplier: float = 1,
    bias: Any = 0,
) -> int:
    """The sums of signs, times a multiplier, plus a bias (per channel)."""
    inputs = [
        draft.add("LceQuantize", [x], draft.shapes[x]),
        draft.constant(lce.filter_of(words, where.channels)),
        draft.constant(np.full(shape[3], multiplier, np.float32)),
        draft.constant(np.broadcast_to(np.asarray(bias, np.float32), shape[3:])),
        -1,
    ]
    return draft.add("LceBconv2d", inputs, shape, **lce.options_of(where, padding))


def _planes_conv(draft: Draft, equation: Any, x: int, words: Known, backward: Known) -> int:
    """A convolution of multiples of 1/n in [0, 1] with a kernel w of signs, by n binary ones.

    A multiple q/n is half the mean of n signs and 1, those of q − t + ½ for t = 1 … n. Therefore
    Σ w·q/n is half the mean of n binary convolutions plus half of Σ w.
    """
    others = dict(equation.params["others"])
    where: Geometry = others["geometry"]
    n, shape = 2 ** others["bitwidth"] - 1, result_shape(equation)
    x = padded(draft, x, ((0, 0), *where.pads, (0, 0)), where.pad_value)
    where = where._replace(pads=((0, 0), (0, 0)), pad_value=0)
    kernel = np.asarray(conv.unpack_kernel(jnp.asarray(words.value), where.channels))
    halves = kernel.sum((0, 1, 2)) / 2
    total = -1
    for t in range(1, n + 1):
        level = draft.constant(np.float32((t - 0.5) / n))
        above = draft.add("SUB", [x, level], draft.shapes[x])
        affine = {"multiplier": 1 / (2 * n), "bias": halves if t == 1 else 0}
        sums = _binary_conv(draft, above, words.value, where, VALID, shape, **affine)
        total = sums if total < 0 else draft.add("ADD", [total, sums], shape)
    return total


# --- floats --------------------------------------------------------------------------------


def conv_2d(draft: Draft, x: int, kernel: np.ndarray, where: Geometry, shape: Shape) -> int:
    """A float convolution with kernel [kh, kw, C / groups, O]."""
    x, padding = _placed(draft, x, where, own=0)
    return _with_kernel(draft, "CONV_2D", x, np.moveaxis(kernel, 3, 0), where, padding, shape)


def _with_kernel(
    draft: Draft,
    kind: str,
    x: int,
    kernel: np.ndarray,
    where: Geometry,
    padding: int,
    shape: Shape,
    **more: Any,
) -> int:
    bias = draft.constant(np.zeros(shape[3], np.float32))
    return draft.add(
        kind,
        [x, draft.constant(np.ascontiguousarray(kernel)), bias],
        shape,
        Padding=padding,
        StrideH=where.strides[0],
        StrideW=where.strides[1],
        DilationHFactor=where.dilation[0],
        DilationWFactor=where.dilation[1],
        **more,
    )


def _dense_conv(draft: Draft, equation: Any, x: int, kernel: Known) -> int:
    where: Geometry = dict(equation.params["others"])["geometry"]
    return conv_2d(draft, x, kernel.value, where, result_shape(equation))


def _depthwise_conv(draft: Draft, equation: Any, x: int, kernel: Known) -> int:
    where: Geometry = dict(equation.params["others"])["where"]
    return depthwise(draft, x, kernel.value, where, result_shape(equation))


def depthwise(draft: Draft, x: int, kernel: np.ndarray, where: Geometry, shape: Shape) -> int:
    """A depthwise convolution with kernel [kh, kw, C, multiplier]."""
    x, padding = _placed(draft, x, where, own=0)
    flat = kernel.reshape(1, *kernel.shape[:2], -1)
    more = {"DepthMultiplier": kernel.shape[3]}
    return _with_kernel(draft, "DEPTHWISE_CONV_2D", x, flat, where, padding, shape, **more)


# --- pools ---------------------------------------------------------------------------------


def pool(kind: str, draft: Draft, x: int, where: Geometry, shape: Shape) -> int:
    """A pool, which does not see what is outside the picture."""
    _, padding = _placed(Draft(draft.shapes[x]), 0, where, own=0)
    if padding == VALID and any(map(any, where.pads)):
        raise ValueError(f"pools with the padding {where.pads}, which TFLite does not")
    return draft.add(
        kind,
        [x],
        shape,
        Padding=padding,
        StrideH=where.strides[0],
        StrideW=where.strides[1],
        FilterHeight=where.kernel_size[0],
        FilterWidth=where.kernel_size[1],
    )


def _whole_pool(kind: str) -> Callable[..., int]:
    def handler(draft: Draft, equation: Any, x: int) -> int:
        others = dict(equation.params["others"])
        size, stride = (
            (side, side) if isinstance(side, int) else tuple(side)
            for side in (others["size"], others["stride"])
        )
        padding = others["padding"].upper()
        where = geometry(draft.shapes[x], size, strides=stride, padding=padding)
        return pool(kind, draft, x, where, result_shape(equation))

    return handler


def _lax_max_pool(draft: Draft, equation: Any, x: int) -> int:
    params = equation.params
    outer = (params["window_dimensions"], params["window_strides"])
    plain = all(each[0] == each[3] == 1 for each in outer) and len(draft.shapes[x]) == 4
    if not plain or {*params["base_dilation"], *params["window_dilation"]} != {1}:
        raise ValueError("computes a maximum over windows that are not 2-D, or dilated")
    size, strides = (each[1:3] for each in outer)
    rows, columns = params["padding"][1:3]
    where = Geometry(size, strides, (rows, columns), 0, _sides(draft, x), draft.shapes[x][3])
    return pool("MAX_POOL_2D", draft, x, where, result_shape(equation))


HANDLERS: dict[str, Callable[..., Any]] = {
    "packed_conv": _packed_conv,
    "planes_conv": _planes_conv,
    "dense_conv": _dense_conv,
    "depthwise_conv": _depthwise_conv,
    "max_pool": _whole_pool("MAX_POOL_2D"),
    "avg_pool": _whole_pool("AVERAGE_POOL_2D"),
    "reduce_window_max": _lax_max_pool,
}
