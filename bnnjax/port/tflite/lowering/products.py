"""Lowers products of values with matrices of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bnnjax.port.tflite.lowering.arithmetic import Input, reshaped, transposed
from bnnjax.port.tflite.lowering.draft import Draft, Shape
from bnnjax.port.tflite.lowering.known import Known

Axes = tuple[int, ...]


def _product(draft: Draft, equation: Any, x: Input, y: Input) -> int:
    """``dot_general`` of a value and weights along any axes. Its result has the axes that both
    share, those of the first factor alone, and those of the second."""
    along, shared = equation.params["dimension_numbers"]
    if isinstance(x, int) and isinstance(y, Known):
        return _times(draft, x, y.value, along, shared)
    if isinstance(y, int) and isinstance(x, Known):
        result = _times(draft, y, x.value, along[::-1], shared[::-1])
        batch = len(shared[0])
        last = len(draft.shapes[result]) - batch
        own = len(draft.shapes[y]) - len(along[1]) - batch
        order = (*range(own, last), *range(own))
        return transposed(draft, result, (*range(batch), *(batch + axis for axis in order)))
    raise ValueError("multiplies two values as matrices, which is not supported")


def _times(
    draft: Draft, x: int, weights: np.ndarray, along: tuple[Axes, Axes], shared: tuple[Axes, Axes]
) -> int:
    """The product with the value as the first factor."""
    own = _others(len(draft.shapes[x]), along[0], shared[0])
    new = _others(weights.ndim, along[1], shared[1])
    kernel = weights.transpose(*shared[1], *along[1], *new)
    columns = kernel.shape[kernel.ndim - len(new) :]
    kernel = kernel.reshape(*kernel.shape[: len(shared[1])], -1, int(np.prod(columns)))
    if shared[0]:
        return _per_place(draft, x, kernel, columns, own, along[0], shared[0])
    rows = tuple(draft.shapes[x][axis] for axis in own)
    x = transposed(draft, x, (*own, *along[0]))
    x = reshaped(draft, x, (*rows, len(kernel)))
    return reshaped(draft, _dense(draft, x, kernel), (*rows, *columns))


def _per_place(
    draft: Draft, x: int, kernel: np.ndarray, columns: Shape, own: Axes, along: Axes, shared: Axes
) -> int:
    """With a kernel [*shared, K, columns] that differs from place to place. The axis of pictures
    stays the first one."""
    pictures, rest = own[:1], own[1:]
    lead = tuple(draft.shapes[x][axis] for axis in (*pictures, *shared))
    rows = tuple(draft.shapes[x][axis] for axis in rest)
    x = transposed(draft, x, (*pictures, *shared, *rest, *along))
    x = reshaped(draft, x, (*lead, *(rows or (1,)), kernel.shape[-2]))
    ones = (1,) * (len(rows) - 1)
    matrices = kernel.reshape(
        *(1,) * len(pictures), *lead[len(pictures) :], *ones, *kernel.shape[-2:]
    )
    shape = (*draft.shapes[x][:-1], kernel.shape[-1])
    result = draft.add("BATCH_MATMUL", [x, draft.constant(matrices)], shape)
    result = reshaped(draft, result, (*lead, *rows, *columns))
    order = [*range(len(draft.shapes[result]))]
    order[: len(lead)] = [*order[len(pictures) : len(lead)], *order[: len(pictures)]]
    return transposed(draft, result, order)


def _others(rank: int, *used: Axes) -> Axes:
    taken = {axis for axes in used for axis in axes}
    return tuple(axis for axis in range(rank) if axis not in taken)


def _dense(draft: Draft, x: int, kernel: np.ndarray) -> int:
    """[…, K] times a kernel [K, N]."""
    matrix, bias = np.ascontiguousarray(kernel.T), np.zeros(kernel.shape[1], np.float32)
    shape = (*draft.shapes[x][:-1], kernel.shape[1])
    inputs = [x, draft.constant(matrix), draft.constant(bias)]
    return draft.add("FULLY_CONNECTED", inputs, shape, KeepNumDims=len(shape) > 2)


HANDLERS: dict[str, Callable[..., Any]] = {"dot_general": _product}
