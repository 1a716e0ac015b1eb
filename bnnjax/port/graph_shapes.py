"""Operators of a ``.tflite`` file that move numbers about or tell of shapes, as steps.

Shapes in a file are of one picture; in a step the first axis is left to the batch.
"""

from typing import Any

import numpy as np

from bnnjax.port.graph_program import Cut, Translation
from bnnjax.port.tflite_graph import Operator


def _constant(t: Translation, op: Operator, slot: int) -> Any:
    value = t.graph.constant(op, slot)
    if value is None:
        raise ValueError(f"has an input {slot} that is not constant")
    return value.tolist()


def reshape(t: Translation, op: Operator) -> None:
    """RESHAPE, to a constant shape or to one that the graph computes."""
    computed = len(op.inputs) > 1 and t.graph.constant(op, 1) is None
    if computed:
        t.finish(op, t.add(op, "reshape", (t.operand(op, 0), op.inputs[1])))
        return
    shape = (
        tuple(_constant(t, op, 1)) if len(op.inputs) > 1 else t.graph.tensors[op.outputs[0]].shape
    )
    if not shape or shape[0] not in (1, -1):
        raise ValueError(f"has the shape {list(shape)}, which does not keep the pictures apart")
    t.sign_keeping("reshape", op, options=shape)


def squeeze(t: Translation, op: Operator) -> None:
    """SQUEEZE, as a reshape to what the file says of its result."""
    t.one("reshape", op, options=t.graph.tensors[op.outputs[0]].shape)


def transpose(t: Translation, op: Operator) -> None:
    """TRANSPOSE by a constant order of axes."""
    t.one("transpose", op, options=tuple(_constant(t, op, 1)))


def mean(t: Translation, op: Operator) -> None:
    """MEAN over constant axes, none of which is the batch."""
    axes = tuple(int(axis) for axis in np.atleast_1d(_constant(t, op, 1)))
    if 0 in axes:
        raise ValueError("averages over pictures")
    t.one("mean", op, options=(axes, bool(op.options.get("KeepDims"))))


def pad(t: Translation, op: Operator) -> None:
    """PAD and PADV2 with a constant value; of ±1 also around signs."""
    amounts = tuple(tuple(pair) for pair in _constant(t, op, 1))
    value = float(np.ravel(_constant(t, op, 2))[0]) if len(op.inputs) > 2 else 0.0
    if abs(value) == 1:
        t.sign_keeping("pad", op, options=(amounts, value))
    else:
        t.one("pad", op, options=(amounts, value))


def strided_slice(t: Translation, op: Operator) -> None:
    """STRIDED_SLICE of constant bounds, of a map or of a shape."""
    if op.options["EllipsisMask"] or op.options["NewAxisMask"]:
        raise ValueError("adds axes or leaves some out")
    begin, end, strides = (tuple(_constant(t, op, slot)) for slot in (1, 2, 3))
    shape = t.graph.tensors[op.inputs[0]].shape
    # Up to the file's own size means all, at any size.
    sides = enumerate(zip(end, shape, strict=True)) if len(shape) == 4 else ()
    whole = sum(1 << axis for axis, (last, side) in sides if last == side)
    masks = (op.options["BeginMask"], op.options["EndMask"] | whole, op.options["ShrinkAxisMask"])
    t.one("slice", op, options=Cut(begin, end, strides, *masks))


def split(t: Translation, op: Operator) -> None:
    """SPLIT into equal parts along a constant axis, a step a part."""
    axis, number = int(np.ravel(_constant(t, op, 0))[0]), op.options["NumSplits"]
    source = t.operand(op, 1)
    for part, output in enumerate(op.outputs):
        t.add(op, "part", (source,), output=output, options=(axis, part, number))


def pack(t: Translation, op: Operator) -> None:
    """PACK of a shape's numbers: those known beforehand as options, the others as values."""
    if op.options.get("Axis", 0):
        raise ValueError(f"packs along axis {op.options['Axis']}, not 0")
    known = tuple(
        None if t.graph.constant(op, slot) is None else int(np.ravel(_constant(t, op, slot))[0])
        for slot in range(len(op.inputs))
    )
    values = tuple(index for index, number in zip(op.inputs, known, strict=True) if number is None)
    t.finish(op, t.add(op, "pack", values, options=known))
