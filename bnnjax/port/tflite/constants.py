"""Constant folding for ``.tflite`` graphs: dequantizes stored integers, and evaluates operators on
constants, such as kernels that LCE left as expressions (XNOR-Net's mean |w| · sign(w))."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from bnnjax.port.tflite.graph import Graph, Operator, Quantization, Tensor


def fold_constants(graph: Graph) -> Graph:
    """The graph with integer weights dequantized to floats, and without the operators that depend
    only on constants."""
    tensors = [dataclasses.replace(tensor, value=_real(tensor)) for tensor in graph.tensors]
    remaining = []
    for operator in graph.operators:
        inputs = [None if i < 0 else tensors[i].value for i in operator.inputs]
        plain = not operator.options.get("FusedActivationFunction")
        constant = inputs and all(value is not None for value in inputs)
        if operator.kind in _FOLDED and constant and plain:
            index = operator.outputs[0]
            value = _FOLDED[operator.kind](operator, *inputs)
            tensors[index] = dataclasses.replace(tensors[index], value=value)
        else:
            remaining.append(operator)
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(remaining))


def _real(tensor: Tensor) -> np.ndarray | None:
    value, quantization = tensor.value, tensor.quantization
    if value is None or quantization is None or value.dtype.kind == "f":
        return value
    scale, zero = (_along_axis(value, quantization, each) for each in quantization[:2])
    return (scale * (value.astype(np.float64) - zero)).astype(np.float32)


def _along_axis(value: np.ndarray, quantization: Quantization, each: Any) -> np.ndarray:
    if len(each) == 1:
        return np.asarray(each[0], np.float64)
    shape = [1] * value.ndim
    shape[quantization.axis] = len(each)
    return np.asarray(each, np.float64).reshape(shape)


def _mean(operator: Operator, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    along = tuple(int(axis) for axis in np.atleast_1d(axes))
    return x.mean(axis=along, keepdims=bool(operator.options.get("KeepDims")))


_FOLDED: dict[str, Callable[..., np.ndarray]] = {
    "ABS": lambda op, x: np.abs(x),
    "ADD": lambda op, x, y: x + y,
    "DEQUANTIZE": lambda op, x: x.astype(np.float32),
    "DIV": lambda op, x, y: x / y,
    "LceDequantize": lambda op, x: x,
    "LceQuantize": lambda op, x: np.where(x < 0, np.float32(-1), np.float32(1)),  # never packed
    "MEAN": _mean,
    "MUL": lambda op, x, y: x * y,
    "RELU_N1_TO_1": lambda op, x: np.clip(x, -1, 1),
    "RESHAPE": lambda op, x, shape: x.reshape(shape),
    "SUB": lambda op, x, y: x - y,
    "TRANSPOSE": lambda op, x, axes: x.transpose(axes),
}
