"""Lowers comparisons and choices between values, and finds the clamps among them.

Activations state their gradients at kinks by choices such as ``where(x >= 6, 6, relu(x))``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bnnjax.port.tflite.lowering.arithmetic import Input, operand
from bnnjax.port.tflite.lowering.draft import Draft, Node

_ABOVE, _BELOW = ("GREATER", "GREATER_EQUAL"), ("LESS", "LESS_EQUAL")


def _compared(kind: str, draft: Draft, equation: Any, *given: Input) -> int:
    inputs = [operand(draft, each) for each in given]
    shape = np.broadcast_shapes(*(draft.shapes[value] for value in inputs))
    return draft.add(kind, inputs, shape)


def _select(draft: Draft, equation: Any, which: Input, *cases: Input) -> int:
    if len(cases) != 2:
        raise ValueError(f"chooses between {len(cases)} values, which TFLite does not")
    return _compared("SELECT_V2", draft, equation, which, cases[1], cases[0])


HANDLERS: dict[str, Callable[..., Any]] = {
    "eq": partial(_compared, "EQUAL"),
    "ne": partial(_compared, "NOT_EQUAL"),
    "ge": partial(_compared, "GREATER_EQUAL"),
    "gt": partial(_compared, "GREATER"),
    "le": partial(_compared, "LESS_EQUAL"),
    "lt": partial(_compared, "LESS"),
    "and": partial(_compared, "LOGICAL_AND"),
    "or": partial(_compared, "LOGICAL_OR"),
    "not": partial(_compared, "LOGICAL_NOT"),
    "select_n": _select,
}


# --- rules for `bnnjax.port.tflite.lowering.fuse` ------------------------------------------


def to_choice(draft: Draft, node: Node) -> bool:
    """The sign that is 0 at 0, which LCE's interpreter has no operator for."""
    (x,), shape = node.inputs, draft.shapes[node.output]
    one, none, minus = (draft.constant(np.float32(value)) for value in (1, 0, -1))
    above, below = (draft.add(kind, [x, none], shape) for kind in ("GREATER", "LESS"))
    rest = draft.add("SELECT_V2", [below, minus, none], shape)
    node.kind, node.inputs = "SELECT_V2", [above, one, rest]
    return True


def to_limit(draft: Draft, node: Node) -> bool:
    """``where(x > c, c, y)`` is the minimum of y and c if y is x, clamped or not."""
    test = draft.maker(node.inputs[0])
    if test is None or test.kind not in (*_ABOVE, *_BELOW):
        return False
    (x, limit), (given, value) = test.inputs, node.inputs[1:]
    c = _scalar(draft, limit)
    if c is None or c != _scalar(draft, given):
        return False
    above = test.kind in _ABOVE
    if value != x and not _clamps(draft, value, x, c, above):
        return False
    node.kind, node.inputs = "MINIMUM" if above else "MAXIMUM", [value, given]
    return True


def _clamps(draft: Draft, value: int, x: int, c: float, above: bool) -> bool:
    """Whether a value is x, limited on the other side of c."""
    maker = draft.maker(value)
    if maker is None or maker.inputs[0] != x:
        return False
    if maker.kind == "RELU":
        return above and c > 0
    other = _scalar(draft, maker.inputs[1]) if len(maker.inputs) == 2 else None
    if other is None or maker.kind != ("MAXIMUM" if above else "MINIMUM"):
        return False
    return other < c if above else other > c


def to_larger(draft: Draft, node: Node) -> bool:
    """``where((x >= y) | isnan(x), x, y)`` is the maximum; likewise the minimum."""
    either = draft.maker(node.inputs[0])
    if either is None or either.kind != "LOGICAL_OR":
        return False
    test, nan = (draft.maker(value) for value in either.inputs)
    if test is None or nan is None or test.kind not in ("GREATER_EQUAL", "LESS_EQUAL"):
        return False
    pair = node.inputs[1:]
    if (nan.kind, nan.inputs) != ("NOT_EQUAL", [pair[0]] * 2):
        return False
    if not _same(draft, test.inputs, pair):
        return False
    node.kind, node.inputs = "MAXIMUM" if test.kind == "GREATER_EQUAL" else "MINIMUM", pair
    return True


def _same(draft: Draft, some: list[int], others: list[int]) -> bool:
    """Whether values are the same, or equal constants."""

    def equal(one: int, other: int) -> bool:
        first, second = (draft.constants.get(value) for value in (one, other))
        if first is None or second is None:
            return one == other
        return np.array_equal(first, second)

    return all(map(equal, some, others))


def to_symmetric_clamp(draft: Draft, node: Node) -> bool:
    """Limits of −1 and 1."""
    inner = draft.only_for(node)
    if inner is None or {node.kind, inner.kind} != {"MAXIMUM", "MINIMUM"}:
        return False
    limits = {each.kind: _scalar(draft, each.inputs[1]) for each in (node, inner)}
    if limits != {"MAXIMUM": -1, "MINIMUM": 1}:
        return False
    inner.kind, inner.inputs = "RELU_N1_TO_1", inner.inputs[:1]
    draft.absorb(node, inner)
    return True


def to_relu6(draft: Draft, node: Node) -> bool:
    """The minimum of 6 and a ReLU, which may have been merged already."""
    before = draft.only_for(node)
    if before is None or _scalar(draft, node.inputs[1]) != 6:
        return False
    if before.kind == "RELU":
        before.kind = "RELU6"
    elif before.options.get("FusedActivationFunction") == 1:
        before.options["FusedActivationFunction"] = 3
    else:
        return False
    draft.absorb(node, before)
    return True


def _scalar(draft: Draft, value: int) -> float | None:
    found = draft.constants.get(value)
    return None if found is None or found.size != 1 else float(found.reshape(()))
