"""Reads a ``.tflite`` flatbuffer into plain Python, without TensorFlow.

Needs the extra ``port`` (packages ``tflite`` and ``flatbuffers``: the schema's readers). Custom
operators of Larq Compute Engine carry their options as a FlexBuffer map.
"""

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 9: np.int8}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; ``value`` is its constant, or None where it is computed."""

    name: str
    shape: tuple[int, ...]
    value: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator: its place, kind (``CONV_2D``, ``LceBconv2d`` …), tensor indices, options."""

    position: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"operator {self.position} ({self.kind})"


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network: tensors by index, operators in order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, operator: Operator, slot: int) -> np.ndarray | None:
        """The constant in an operator's input slot, or None."""
        if slot >= len(operator.inputs) or operator.inputs[slot] < 0:
            return None
        return self.tensors[operator.inputs[slot]].value


def read_graph(path: str | Path) -> Graph:
    """The first subgraph of a ``.tflite`` file.

    Raises:
      ValueError: no such file, not a TFLite flatbuffer or a truncated one, or a tensor type that
        no network here uses; ModuleNotFoundError when the extra ``port`` is not installed.
    """
    tflite = _import_tflite()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if data[4:8] != b"TFL3":
        raise ValueError(f"{path}: not a .tflite file (no TFL3 mark at byte 4)")
    try:
        return _parse(tflite, data)
    except (struct.error, LookupError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged or truncated .tflite file ({error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _import_tflite() -> Any:
    try:
        import tflite
    except ImportError:
        raise ModuleNotFoundError(
            "reading .tflite files needs the extra 'port': pip install 'bnnjax[port]'"
        ) from None
    return tflite


def _parse(tflite: Any, data: bytes) -> Graph:
    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    tensors = [_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]
    operators = [_operator(tflite, model, graph, i) for i in range(graph.OperatorsLength())]
    return Graph(
        tuple(tensors),
        tuple(operators),
        _indices(graph.InputsAsNumpy()),
        _indices(graph.OutputsAsNumpy()),
    )


def _indices(values: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in np.atleast_1d(values))


def _tensor(model: Any, tensor: Any) -> Tensor:
    name = tensor.Name().decode()
    shape = _indices(tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength():
        return Tensor(name, shape, None)
    if tensor.Type() not in _DTYPES:
        raise ValueError(f"tensor {name!r} has TFLite type {tensor.Type()}, which is not read here")
    values: np.ndarray = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
    if values.size != int(np.prod(shape)):
        raise ValueError(
            f"tensor {name!r} has {values.size} values, its shape {shape} needs others"
        )
    return Tensor(name, shape, values.reshape(shape))


def _operator(tflite: Any, model: Any, graph: Any, position: int) -> Operator:
    operator = graph.Operators(position)
    code = model.OperatorCodes(operator.OpcodeIndex())
    if code.CustomCode():
        kind = code.CustomCode().decode()
        options = _flexbuffer(operator)
    else:
        kind = _builtin_name(tflite, max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        options = _builtin_options(tflite, operator)
    return Operator(
        position,
        kind,
        _indices(operator.InputsAsNumpy()),
        _indices(operator.OutputsAsNumpy()),
        options,
    )


def _builtin_name(tflite: Any, code: int) -> str:
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    return names.get(code, f"builtin {code}")


def _flexbuffer(operator: Any) -> dict[str, Any]:
    from flatbuffers import flexbuffers

    if not operator.CustomOptionsLength():
        return {}
    return dict(flexbuffers.Loads(operator.CustomOptionsAsNumpy().tobytes()))


_OPTION_TABLES = {
    "Conv2DOptions": ("StrideH", "StrideW", "Padding", "FusedActivationFunction"),
    "DepthwiseConv2DOptions": (
        "StrideH",
        "StrideW",
        "Padding",
        "FusedActivationFunction",
        "DepthMultiplier",
    ),
    "Pool2DOptions": (
        "StrideH",
        "StrideW",
        "FilterHeight",
        "FilterWidth",
        "Padding",
        "FusedActivationFunction",
    ),
    "AddOptions": ("FusedActivationFunction",),
    "MulOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "FullyConnectedOptions": ("FusedActivationFunction",),
}


def _builtin_options(tflite: Any, operator: Any) -> dict[str, Any]:
    names = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
    table = names.get(operator.BuiltinOptionsType())
    if table not in _OPTION_TABLES or operator.BuiltinOptions() is None:
        return {}
    options = getattr(tflite, table)()
    options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    return {field: getattr(options, field)() for field in _OPTION_TABLES[table]}
