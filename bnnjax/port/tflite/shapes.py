"""Translates the operators of a ``.tflite`` file that rearrange values or compute shapes to steps.

Shapes in a file are for one picture; in a step, the first axis is the batch.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.port.program.program import Call, Cut
from bnnjax.port.tflite.builder import GraphBuilder
from bnnjax.port.tflite.graph import Operator


def _constant(builder: GraphBuilder, op: Operator, slot: int) -> Any:
    value = builder.graph.constant(op, slot)
    if value is None:
        raise ValueError(f"has an input {slot} that is not constant")
    return value.tolist()


def reshape(builder: GraphBuilder, op: Operator) -> None:
    """RESHAPE to a constant shape, or to one that the graph computes."""
    stated = builder.graph.tensors[op.outputs[0]].shape
    if len(stated) == 2 and (needed := flattened(builder, op)):
        builder.sign_keeping("flatten", op, options=needed)
        return
    if len(op.inputs) > 1 and builder.graph.constant(op, 1) is None:
        builder.finish(op, builder.add(op, "reshape", (builder.operand(op, 0), op.inputs[1])))
        return
    shape = tuple(_constant(builder, op, 1)) if len(op.inputs) > 1 else stated
    if not shape or shape[0] not in (1, -1):
        raise ValueError(f"has the shape {list(shape)}, which does not keep the pictures apart")
    builder.sign_keeping("reshape", op, options=shape)


def flattened(builder: GraphBuilder, op: Operator) -> tuple[int, ...] | None:
    """The shape [h, w, C] of the map that an operator flattens; None if it does not flatten a map,
    or if the file does not state its size.

    The following dense layer needs exactly this shape: a 6×4 map has as many values as a 4×6 one.
    """
    tensors = builder.graph.tensors
    shape, picture = tensors[op.inputs[0]].shape, tensors[builder.graph.inputs[0]].shape
    return shape[1:] if len(shape) == 4 and min(picture[1:3]) > 1 else None


def squeeze(builder: GraphBuilder, op: Operator) -> None:
    """SQUEEZE, as a reshape to the output shape in the file."""
    builder.unary("reshape", op, options=builder.graph.tensors[op.outputs[0]].shape)


def transpose(builder: GraphBuilder, op: Operator) -> None:
    """TRANSPOSE with a constant order of axes."""
    builder.unary("transpose", op, options=tuple(_constant(builder, op, 1)))


def pad(builder: GraphBuilder, op: Operator) -> None:
    """PAD and PADV2 with a constant value; padding with ±1 keeps signs."""
    amounts = tuple(tuple(pair) for pair in _constant(builder, op, 1))
    value = float(np.ravel(_constant(builder, op, 2))[0]) if len(op.inputs) > 2 else 0.0
    if abs(value) == 1:
        builder.sign_keeping("pad", op, options=(amounts, value))
    else:
        builder.unary("pad", op, options=(amounts, value))


def concat(builder: GraphBuilder, op: Operator) -> None:
    """CONCATENATION along an axis."""
    inputs = tuple(builder.operand(op, slot) for slot in range(len(op.inputs)))
    builder.finish(op, builder.add(op, "concat", inputs, options=op.options["Axis"]))
    builder.wholes |= dict.fromkeys(op.inputs, op.outputs[0])
    builder.tap("concat", op.outputs[0])


def repeat(builder: GraphBuilder, op: Operator) -> None:
    """BROADCAST_TO a constant shape of as many axes."""
    shape = tuple(_constant(builder, op, 1))
    if len(shape) != len(builder.graph.tensors[op.inputs[0]].shape):
        raise ValueError(f"adds axes: the shape is {list(shape)}")
    builder.unary("call", op, options=Call.of(repeated, shape=shape[1:]))


def repeated(x: Array, *, shape: tuple[int, ...]) -> Array:
    """[N, …] with its sides of 1 repeated to [N, *shape]."""
    return jnp.broadcast_to(x, (len(x), *shape))


def strided_slice(builder: GraphBuilder, op: Operator) -> None:
    """STRIDED_SLICE of a map or of a shape, with constant bounds."""
    if op.options["EllipsisMask"] or op.options["NewAxisMask"]:
        raise ValueError("adds axes or leaves some out")
    begin, end, strides = (tuple(_constant(builder, op, slot)) for slot in (1, 2, 3))
    shape = builder.graph.tensors[op.inputs[0]].shape
    # An end that equals the file's own size stands for the end at any size.
    sides = enumerate(zip(end, shape, strict=True)) if len(shape) == 4 else ()
    whole = sum(1 << axis for axis, (last, side) in sides if last == side)
    masks = (op.options["BeginMask"], op.options["EndMask"] | whole, op.options["ShrinkAxisMask"])
    builder.unary("slice", op, options=Cut(begin, end, strides, *masks))


def split(builder: GraphBuilder, op: Operator) -> None:
    """SPLIT into equal parts along a constant axis, one step per part."""
    axis, number = int(np.ravel(_constant(builder, op, 0))[0]), op.options["NumSplits"]
    source = builder.operand(op, 1)
    for part, output in enumerate(op.outputs):
        builder.add(op, "part", (source,), output=output, options=(axis, part, number))


def pack(builder: GraphBuilder, op: Operator) -> None:
    """PACK of the sides of a shape: constants become options, all others values."""
    if op.options.get("Axis", 0):
        raise ValueError(f"packs along axis {op.options['Axis']}, not 0")
    constants = [builder.graph.constant(op, slot) for slot in range(len(op.inputs))]
    known = tuple(None if value is None else int(value.ravel()[0]) for value in constants)
    values = tuple(index for index, number in zip(op.inputs, known, strict=True) if number is None)
    builder.finish(op, builder.add(op, "pack", values, options=known))


HANDLERS: dict[str, Callable[[GraphBuilder, Operator], None]] = {
    "CONCATENATION": concat,
    "RESHAPE": reshape,
    "SQUEEZE": squeeze,
    "TRANSPOSE": transpose,
    "BROADCAST_TO": repeat,
    "PAD": pad,
    "PADV2": pad,
    "STRIDED_SLICE": strided_slice,
    "SPLIT": split,
    "SHAPE": lambda builder, op: builder.unary("shape", op),
    "PACK": pack,
}
