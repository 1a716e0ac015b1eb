"""Translates convolutions along three axes, transposed ones, and products of matrices in a
``.tflite`` file to steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.layers import QuantConv2DTranspose, QuantConv3D, QuantConv3DTranspose
from bnnjax.port.program.program import Call
from bnnjax.port.tflite.builder import GraphBuilder
from bnnjax.port.tflite.graph import Operator

Sides = tuple[tuple[int, int], ...]  # what is removed before and after each axis, or added if < 0

SAME = 0  # the schema's enumeration


def _conv_3d(builder: GraphBuilder, op: Operator) -> None:
    kernel = builder.kernel(op, axes=5)
    name = builder.new_name("conv_3d")
    builder.params[name] = {"kernel": kernel}
    layer = Call.of(
        QuantConv3D,
        features=kernel.shape[4],
        kernel_size=kernel.shape[:3],
        strides=_along(op, "Stride{}", "DHW"),
        padding="SAME" if op.options["Padding"] == SAME else "VALID",
        dilation=_along(op, "Dilation{}Factor", "DHW"),
    )
    value = builder.add(op, "layer", (builder.operand(op, 0),), name=name, options=layer)
    _finish(builder, op, value, bias=2)


def _transposed(axes: str, layer: Callable[..., Any], builder: GraphBuilder, op: Operator) -> None:
    """A transposed convolution: that of all places, of which the file states a part."""
    kernel = builder.kernel(op, axes=len(axes) + 2)
    if len(axes) == 2:
        kernel = np.moveaxis(kernel, 0, 2)  # to [kh, kw, O, I]
    size, features = kernel.shape[: len(axes)], kernel.shape[-2]
    strides = _along(op, "Stride{}", axes)
    before, after = (builder.graph.tensors[i].shape[1:-1] for i in (op.inputs[2], op.outputs[0]))
    sides = tuple(map(partial(_removed, op.options["Padding"]), before, after, size, strides))
    name = builder.new_name("transposed")
    builder.params[name] = {"kernel": np.ascontiguousarray(kernel)}
    where = {"features": features, "kernel_size": size, "strides": strides, "padding": "VALID"}
    value = builder.add(
        op, "layer", (builder.operand(op, 2),), name=name, options=Call.of(layer, **where)
    )
    value = builder.add(op, "call", (value,), options=Call.of(resized, sides=sides))
    _finish(builder, op, value, bias=3)


def _removed(padding: int, before: int, after: int, size: int, stride: int) -> tuple[int, int]:
    """What an axis of `QuantConv2DTranspose` has too much at its start and its end."""
    places = before * stride + max(size - stride, 0)
    low = max((-(-after // stride) - 1) * stride + size - after, 0) // 2 if padding == SAME else 0
    return low, places - after - low


def resized(x: Array, *, sides: Sides) -> Array:
    """[N, *spatial, C] without what is to be removed, and with zeros where it is negative."""
    cut = tuple(slice(max(low, 0), -high if high > 0 else None) for low, high in sides)
    added = [(max(-low, 0), max(-high, 0)) for low, high in sides]
    return jnp.pad(x[(slice(None), *cut)], [(0, 0), *added, (0, 0)])


def _product(builder: GraphBuilder, op: Operator) -> None:
    inputs = (builder.operand(op, 0), builder.operand(op, 1))
    swapped = (bool(op.options.get("AdjX")), bool(op.options.get("AdjY")))
    builder.finish(op, builder.add(op, "call", inputs, options=Call.of(product, swapped=swapped)))


def product(x: Array, y: Array, *, swapped: tuple[bool, bool]) -> Array:
    """[…, M, K] times […, K, N] → […, M, N]; the last two axes may come swapped."""
    x, y = (each.swapaxes(-1, -2) if s else each for each, s in zip((x, y), swapped, strict=True))
    return x @ y


def _finish(builder: GraphBuilder, op: Operator, value: int, *, bias: int) -> None:
    """Adds the bias, if the operator has one."""
    if len(op.inputs) > bias and op.inputs[bias] >= 0:
        value = builder.add(op, "add", (value, builder.operand(op, bias)))
    builder.finish(op, value)


def _along(op: Operator, name: str, axes: str) -> tuple[int, ...]:
    return tuple(op.options[name.format(axis)] for axis in axes)


HANDLERS: dict[str, Callable[[GraphBuilder, Operator], None]] = {
    "CONV_3D": _conv_3d,
    "TRANSPOSE_CONV": partial(_transposed, "HW", QuantConv2DTranspose),
    "CONV_3D_TRANSPOSE": partial(_transposed, "DHW", QuantConv3DTranspose),
    "BATCH_MATMUL": _product,
}
