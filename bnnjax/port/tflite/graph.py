"""Reads a ``.tflite`` flatbuffer into plain Python, without TensorFlow.

This needs the extra ``port``, whose packages ``tflite`` and ``flatbuffers`` read the schema. The
custom operators of Larq Compute Engine carry their options as a FlexBuffer map.
"""

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DTYPES = {
    0: np.float32,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    7: np.int16,
    9: np.int8,
}


class Quantization(NamedTuple):
    """The meaning of a tensor's integers q: ``scale · (q − zero_point)``.

    There is one pair for the whole tensor, or one per index along ``axis``.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
      name: the name in the file.
      shape: the shape for one picture.
      value: the value of a constant; None for a computed tensor.
      dtype: NumPy's name of its type, or "" for an unsupported type.
      quantization: the quantization of integers; None if they stand for themselves.
    """

    name: str
    shape: tuple[int, ...]
    value: np.ndarray | None
    dtype: str = "float32"
    quantization: Quantization | None = None


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator: its position, kind (``CONV_2D``, ``LceBconv2d`` …), tensor indices, options."""

    position: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"operator {self.position} ({self.kind})"


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network: its tensors by index, and its operators in order of execution."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, operator: Operator, slot: int) -> np.ndarray | None:
        """The constant in an input slot of an operator, or None."""
        if slot >= len(operator.inputs) or operator.inputs[slot] < 0:
            return None
        return self.tensors[operator.inputs[slot]].value


def read_graph(path: str | Path) -> Graph:
    """The first subgraph of a ``.tflite`` file.

    Raises:
      ValueError: the file does not exist, is truncated or not a TFLite flatbuffer, or has a
        constant of an unsupported type.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    tflite = import_tflite()
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


def import_tflite() -> Any:
    try:
        import tflite
    except ImportError:
        raise ModuleNotFoundError(
            ".tflite files need the extra 'port': pip install 'bnnjax[port]'"
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
    dtype = np.dtype(DTYPES[tensor.Type()]).name if tensor.Type() in DTYPES else ""
    quantization = _quantization(tensor.Quantization())
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength():
        return Tensor(name, shape, None, dtype, quantization)
    if not dtype:
        raise ValueError(f"tensor {name!r} has TFLite type {tensor.Type()}, which is not read here")
    values: np.ndarray = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype)
    if values.size != int(np.prod(shape)):
        raise ValueError(
            f"tensor {name!r} has {values.size} values, which do not fill its shape {shape}"
        )
    return Tensor(name, shape, values.reshape(shape), dtype, quantization)


def _quantization(found: Any) -> Quantization | None:
    if found is None or not found.ScaleLength():
        return None
    scale = tuple(float(s) for s in np.atleast_1d(found.ScaleAsNumpy()))
    zeros = _indices(found.ZeroPointAsNumpy()) if found.ZeroPointLength() else (0,) * len(scale)
    return Quantization(scale, zeros, int(found.QuantizedDimension()))


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


_WINDOW = ("StrideH", "StrideW", "Padding", "FusedActivationFunction")
_DILATION = ("DilationHFactor", "DilationWFactor")
OPTION_TABLES = {
    "Conv2DOptions": (*_WINDOW, *_DILATION),
    "DepthwiseConv2DOptions": (*_WINDOW, *_DILATION, "DepthMultiplier"),
    "Pool2DOptions": (*_WINDOW, "FilterHeight", "FilterWidth"),
    "AddOptions": ("FusedActivationFunction",),
    "SubOptions": ("FusedActivationFunction",),
    "MulOptions": ("FusedActivationFunction",),
    "DivOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "FullyConnectedOptions": ("FusedActivationFunction", "KeepNumDims"),
    "PackOptions": ("Axis",),
    "ReducerOptions": ("KeepDims",),
    "TransposeConvOptions": ("StrideH", "StrideW", "Padding", "FusedActivationFunction"),
    "Conv3DOptions": (*_WINDOW, "StrideD", "DilationDFactor", *_DILATION),
    "BatchMatMulOptions": ("AdjX", "AdjY"),
    "LeakyReluOptions": ("Alpha",),
    "GeluOptions": ("Approximate",),
    "SoftmaxOptions": ("Beta",),
    "SplitOptions": ("NumSplits",),
    "StridedSliceOptions": (
        "BeginMask",
        "EndMask",
        "EllipsisMask",
        "NewAxisMask",
        "ShrinkAxisMask",
    ),
}


def _builtin_options(tflite: Any, operator: Any) -> dict[str, Any]:
    names = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
    table = names.get(operator.BuiltinOptionsType())
    if table not in OPTION_TABLES or operator.BuiltinOptions() is None:
        return {}
    options = getattr(tflite, table)()
    options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    return {field: getattr(options, field)() for field in OPTION_TABLES[table]}
